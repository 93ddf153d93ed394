#!/usr/bin/env python3
"""`make nfs`: hiwake on a real NFSv4.1 mount, under real faults, in a throw-away virtual machine.

The guest is a kernel NFS server and eight clients (guest.py), made from Debian's packages only.
This script makes the guest, builds hiwake for it, makes objects with hiwake's own transform, and
prints the guest's report. Exit code 1: a line was lost, doubled or torn, a published file changed,
a check raised a false alarm, or another check failed.

    tests/nfs/run.py [SCENARIO…] [plain|compressed]   all of them, or some; `trips` is one of them
"""

import base64
import gzip
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
LAB = TARGET / "nfs"
TOOLS = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio", "depmod": "kmod"}
PACKAGES = """linux-image-cloud-amd64 nfs-kernel-server python3-minimal libpython3-stdlib
    busybox-static iproute2 util-linux coreutils e2fsprogs kmod strace zstd""".split()
MODULES = """virtio_pci virtio_blk crc32c_generic md5 sha256_generic ext4 nfsd nfs nfsv4 veth
    bridge""".split()
UNUSED = """boot usr/share/doc usr/share/man usr/share/locale usr/share/perl usr/share/perl5
    usr/share/bash-completion usr/share/initramfs-tools usr/share/info usr/lib/klibc usr/lib/udev
    lib/udev usr/lib/systemd lib/systemd usr/lib/x86_64-linux-gnu/perl
    usr/lib/x86_64-linux-gnu/perl-base usr/lib/x86_64-linux-gnu/gconv""".split()
BOOT_LIMIT_S, LIMIT_S = 180, 40 * 60
ROWS, OBJECTS = 9600, 16
TRIPLE = "x86_64-unknown-linux-gnu"


def main():
    started = time.monotonic()
    tools()
    program = built()
    base = LAB / "base.cpio"
    if not base.exists():
        packed(root_of(packages()), base)
    guest = LAB / "guest"
    shutil.rmtree(guest, ignore_errors=True)
    (guest / "nfs").mkdir(parents=True)
    shutil.copy(program, guest / "nfs/hiwake")
    for script in HERE.glob("*.py"):
        shutil.copy(script, guest / "nfs")
    objects(guest / "nfs", program)
    (guest / "nfs/chosen").write_text(" ".join(sys.argv[1:]))
    packed(guest, LAB / "this.cpio")
    with open(LAB / "initrd", "wb") as initrd:
        for part in (base, LAB / "this.cpio"):
            initrd.write(part.read_bytes())
    exact = boot()
    print(
        f"{(time.monotonic() - started) / 60:.0f} minutes; the guest's console is {LAB / 'console'}"
    )
    return 0 if exact else 1


def tools():
    """Checks that the host has the tools, or installs them from Debian."""
    missing = sorted(
        {package for tool, package in TOOLS.items() if not shutil.which(tool, path=PATH)}
    )
    if missing and os.getuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=False
        )
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]
    if missing or not shutil.which("apt-get"):
        sys.exit(
            f"{', '.join(missing) or 'apt-get'} is missing; on Debian: "
            f"apt-get install {' '.join(TOOLS.values())}"
        )


PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def built():
    """Builds hiwake with debug assertions, as a static binary that needs nothing from the host."""
    command = [
        "cargo",
        "build",
        "--locked",
        "--no-default-features",
        "--features",
        "cli",
        "--profile",
        "test",
    ]
    flags = os.environ | {"RUSTFLAGS": "-C target-feature=+crt-static"}
    subprocess.run(
        [*command, "--bin", "hiwake", "--target", TRIPLE], cwd=REPOSITORY, env=flags, check=True
    )
    LAB.mkdir(exist_ok=True)
    program = LAB / "hiwake"
    subprocess.run(["strip", "-o", program, TARGET / TRIPLE / "debug/hiwake"], check=True)
    return program


def packages():
    """Downloads Debian's packages and their dependencies, once. Installs nothing."""
    debs = LAB / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    options = [
        "Dir::State::status=/dev/null",
        f"Dir::Cache::archives={debs}",
        "APT::Install-Recommends=false",
        "Debug::NoLocking=1",
        "APT::Sandbox::User=",
    ]
    command = [
        "apt-get",
        *(word for option in options for word in ("-o", option)),
        "-y",
        "-qq",
        "--download-only",
    ]
    if subprocess.run([*command, "install", *PACKAGES], check=False).returncode:
        sys.exit(
            f"the guest's packages could not be downloaded from Debian to {debs}: "
            "run `apt-get update`, then this again"
        )
    return sorted(debs.glob("*.deb"))


def root_of(debs):
    """Makes the guest's files: unpacked packages, the modules that it loads, an init."""
    root = LAB / "root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in "bin", "sbin", "lib", "lib64":
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    for deb in debs:
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    shutil.copy(kernel, LAB / "vmlinuz")
    version = kernel.name.removeprefix("vmlinuz-")
    names = {deb.name.split("_")[0]: deb.name.split("_")[1] for deb in debs}
    used = {"linux": version, "nfs-kernel-server": names["nfs-kernel-server"]}
    (LAB / "versions").write_text(", ".join(f"{name} {value}" for name, value in used.items()))
    modules = needed_modules(root, version)
    for path in UNUSED:
        shutil.rmtree(root / path, ignore_errors=True)
    for folder in (
        "proc sys dev run tmp mnt export nfs var/lib/nfs/rpc_pipefs var/lib/nfs/nfsdcld etc".split()
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in {
        "passwd": "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        "group": "root:x:0:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost\n10.9.0.1 server\n",
        "nsswitch.conf": "".join(
            f"{what}: files\n" for what in ("hosts", "services", "protocols", "rpc", "netgroup")
        ),
    }.items():
        (root / "etc" / name).write_text(text)
    (root / "init").write_text(
        "#!/bin/busybox sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp\n"
        "for at in proc:proc sysfs:sys devtmpfs:dev tmpfs:run tmpfs:tmp; do\n"
        '  busybox mount -t "${at%:*}" none "/${at#*:}"\ndone\nexec >/dev/ttyS1 2>&1\n'
        "busybox stty -F /dev/ttyS1 raw -echo\n"
        f"for module in {' '.join(modules)}; do busybox insmod /modules/$module; done\n"
        "exec python3 -u /nfs/guest.py\n"
    )
    (root / "init").chmod(0o755)
    return root


def needed_modules(root, version):
    """Copies the kernel modules that the guest loads. Returns their names in that order."""
    subprocess.run(["depmod", "-b", root, version], check=True, env=os.environ | {"PATH": PATH})
    found = []
    for module in MODULES:
        command = ["modprobe", "-d", root, "-S", version, "--show-depends", module]
        shown = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PATH": PATH}
        )
        found += [
            line.split()[1] for line in shown.stdout.splitlines() if line.startswith("insmod")
        ]
    found = list(dict.fromkeys(found))
    (root / "modules").mkdir()
    for path in found:
        shutil.copy(path, root / "modules")
    shutil.rmtree(root / "lib/modules")
    return [pathlib.Path(path).name for path in found]


def packed(folder, archive):
    """Makes an archive that the kernel unpacks as its first file system."""
    listed = subprocess.run(
        ["find", ".", "-print0"], cwd=folder, check=True, capture_output=True
    ).stdout
    with open(archive.with_suffix(".part"), "wb") as out:
        command = ["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"]
        subprocess.run(command, cwd=folder, input=listed, stdout=out, check=True)
    archive.with_suffix(".part").rename(archive)


SOURCE = '[[source]]\nlog_groups = ["{}"]\nfile = "{}"\nlabels = ["HOGE"]\n'
PLAIN = SOURCE.format("/app", "app") + SOURCE.format("/web", "web/{log_stream}")
COMPRESSED = '[files]\nopen = "compressed"\n[seal]\ncompress = "zstd"\n'
CHANGED = SOURCE.format("/*", "all")
DAYS = "2022-04-17", "2022-04-18"
MIDNIGHT_MS = 1650121200000  # of the first day, in Tokyo


def objects(folder, program):
    """Makes objects as the stream delivers them. Each event is in two of them."""
    for name, text in {
        "plain": PLAIN,
        "compressed": PLAIN + COMPRESSED,
        "plain-changed": CHANGED,
        "compressed-changed": CHANGED + COMPRESSED,
    }.items():
        (folder / f"{name}.toml").write_text(text)
    chance = random.Random(1)
    groups = [("/app", "i-1", "app"), ("/app", "i-2", "app"), ("/web", "w", "web/w")]
    events, lines = [], []
    for index in range(ROWS):
        group, stream, file = groups[index % 3]
        day = index * len(DAYS) // ROWS
        at = MIDNIGHT_MS + index * 86_400_000 * len(DAYS) // ROWS
        text = (
            f"row {index} "
            + "".join(chance.choices("abcdefgh ,あ", k=chance.randrange(20, 120))).strip()
        )
        field = f'"{text}"' if "," in text else text
        lines.append([f"HOGE,{field}", f"{file}/{DAYS[day]}"])
        events.append(
            (
                group,
                stream,
                {
                    "id": f"{at << 144 | index * 0x9E3779B97F4A7C15:056}",
                    "timestamp": at,
                    "message": text,
                },
            )
        )
    named = {}
    (folder / "backup").mkdir()
    (folder / "landing").mkdir()
    step = ROWS // OBJECTS
    parts = {
        f"{number:02}": [index % ROWS for index in range(number * step, (number + 2) * step)]
        for number in range(OBJECTS)
    }
    # Small objects, all for one day file.
    for number in range(4):
        rows = range(number * 60, number * 60 + 120)
        parts[f"small-{number}"] = [index for index in rows if events[index][0] == "/app"]
    for name, indexes in parts.items():
        records = []
        for group, stream, _ in groups:
            mine = [events[index][2] for index in indexes if events[index][:2] == (group, stream)]
            for first in range(0, len(mine), 100):
                envelope = {
                    "messageType": "DATA_MESSAGE",
                    "owner": "123456789012",
                    "logGroup": group,
                    "logStream": stream,
                    "subscriptionFilters": ["hiwake"],
                    "logEvents": mine[first : first + 100],
                }
                records.append(gzip.compress(json.dumps(envelope).encode(), mtime=0))
        (folder / "backup" / name).write_bytes(b"".join(records))
        (folder / "landing" / name).write_bytes(transformed(folder, program, records))
        named[name] = indexes
    (folder / "events.json").write_text(json.dumps({"lines": lines, "objects": named}))


def transformed(folder, program, records):
    event = {
        "invocationId": "1",
        "deliveryStreamArn": "arn:aws:firehose:ap-northeast-1:123456789012:deliverystream/d",
        "region": "ap-northeast-1",
        "records": [
            {
                "recordId": str(number),
                "approximateArrivalTimestamp": MIDNIGHT_MS + 2 * 86_400_000,
                "data": base64.b64encode(record).decode(),
            }
            for number, record in enumerate(records)
        ],
    }
    answer = subprocess.run(
        [program, "transform", "--config", folder / "plain.toml", "-"],
        check=True,
        input=json.dumps(event).encode(),
        capture_output=True,
    ).stdout
    answers = json.loads(answer)["records"]
    assert all(one["result"] == "Ok" for one in answers), answers
    return b"".join(base64.b64decode(one["data"]) for one in answers)


def boot():
    """Boots the guest, and prints its report. Returns whether everything was exact."""
    out, console, disk = LAB / "out", LAB / "console", LAB / "disk"
    for path in (out, console, disk):
        path.unlink(missing_ok=True)
    out.touch()
    with open(disk, "wb") as image:
        image.truncate(2 << 30)
    accel = os.environ.get("NFS_ACCEL", "tcg,thread=multi")
    command = [
        "qemu-system-x86_64",
        "-accel",
        accel,
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "3000",
        "-M",
        "q35",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-kernel",
        LAB / "vmlinuz",
        "-initrd",
        LAB / "initrd",
        "-append",
        "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off tsc=reliable random.trust_cpu=on",
        "-serial",
        f"file:{console}",
        "-serial",
        f"file:{out}",
        "-drive",
        f"file={disk},format=raw,if=virtio,cache=unsafe",
    ]
    print(
        f"guest: {(LAB / 'versions').read_text()}; lease 10 s; "
        "software emulation unless NFS_ACCEL=kvm",
        flush=True,
    )
    started = time.monotonic()
    exact, said, ended = False, "", False
    qemu = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL)
    try:
        with open(out, encoding="utf-8", errors="replace") as report:
            while not ended:
                ended = qemu.poll() is not None
                said += report.read()
                *lines, said = said.split("\n")
                for line in lines:
                    exact |= line == "@exact"
                    if not line.startswith("@"):
                        print(line, flush=True)
                since = time.monotonic() - started
                if since > LIMIT_S or (since > BOOT_LIMIT_S and out.stat().st_size == 0):
                    print(f"the guest did not end within {since:.0f} s", flush=True)
                    break
                time.sleep(0.2)
    finally:
        qemu.kill()
        qemu.wait()
        disk.unlink()
    return exact


if __name__ == "__main__":
    sys.exit(main())
