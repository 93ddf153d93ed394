"""The machines of the guest: a kernel NFS server, and clients that do not know of each other.

Every client has its own network, host name and mount table, so the server sees it as a separate
machine.
"""

import collections
import pathlib
import re
import subprocess
import time

LEASE_S = 10
EXPORT = pathlib.Path("/export")
OPTIONS = "noresvport,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,nosharecache"


def run(command, **options):
    return subprocess.run(
        command.split() if isinstance(command, str) else command, check=True, **options
    )


class Server:
    """The server, in the guest's first network. It exports `/export`, an ext4 file system."""

    def __init__(self):
        run(
            "mke2fs -q -t ext4 -m 0 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -F /dev/vda"
        )
        run("busybox mount -t ext4 /dev/vda /export")
        run("ip link set lo up")
        run("ip link add br0 type bridge")
        run("ip addr add 10.9.0.1/24 dev br0")
        run("ip link set br0 up")
        run("busybox mount -t rpc_pipefs none /var/lib/nfs/rpc_pipefs")
        run("busybox mount -t nfsd none /proc/fs/nfsd")
        run("busybox hostname server")
        pathlib.Path("/proc/sys/fs/leases-enable").write_text("0")  # EFS grants no delegations.
        for name in "etab", "rmtab":
            pathlib.Path("/var/lib/nfs", name).touch()
        self.squash("no_root_squash")
        run("nfsdcld")
        run("rpc.mountd -N 2 -N 3")
        self.up()

    def squash(self, how):
        pathlib.Path("/etc/exports").write_text(
            f"/export *(rw,sync,{how},insecure,no_subtree_check,fsid=0)\n"
        )
        run("exportfs -ra")

    def up(self):
        for name in "nfsv4leasetime", "nfsv4gracetime":
            pathlib.Path("/proc/fs/nfsd", name).write_text(str(LEASE_S))
        run("rpc.nfsd -N 3 -V 4 -V 4.0 -V 4.1 -H 10.9.0.1 8")

    def restart(self):
        run("rpc.nfsd 0")
        self.up()


class Client:
    """A machine that has the export mounted at `/mnt`."""

    def __init__(self, number):
        self.name, self.address = f"c{number}", f"10.9.0.{number + 1}"
        run(f"ip netns add {self.name}")
        run(f"ip link add v{number} type veth peer name eth0 netns {self.name}")
        run(f"ip link set v{number} master br0 up")
        for command in f"addr add {self.address}/24 dev eth0", "link set lo up", "link set eth0 up":
            run(f"ip -n {self.name} {command}")
        held = f"busybox hostname {self.name}; exec sleep 1000000"
        self.holder = subprocess.Popen(
            ["ip", "netns", "exec", self.name, "unshare", "-mu", "busybox", "sh", "-c", held]
        )
        while pathlib.Path(f"/proc/{self.holder.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.05)
        self.mount("4.1")

    def entered(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-u", "-n", *command]

    def mount(self, version):
        options = f"vers={version},{OPTIONS},addr=10.9.0.1,clientaddr={self.address}"
        run(
            self.entered(
                "busybox", "mount", "-i", "-t", "nfs4", "-o", options, "10.9.0.1:/", "/mnt"
            )
        )

    def unmount(self):
        run(self.entered("busybox", "umount", "/mnt"))

    def link(self, state):
        run(f"ip link set v{self.name[1:]} {state}")

    def calls(self):
        """The number of requests of each kind that the client has sent."""
        text = pathlib.Path(f"/proc/{self.holder.pid}/mountstats").read_text()
        mine = text.split(" mounted on /mnt with fstype nfs4")[1]
        counts = dict(
            re.findall(r"^\s*([A-Z_]+): (\d+) ", mine.split("per-op statistics")[1], re.M)
        )
        return collections.Counter(
            {
                kind: int(count)
                for kind, count in counts.items()
                if kind not in ("NULL", "EXCHANGE_ID", "SEQUENCE")
            }
        )
