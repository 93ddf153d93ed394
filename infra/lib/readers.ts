// Who may read the day files: a firewall rule for their machines, an access point of their own, and
// the command that mounts it.

import { Annotations, CfnOutput, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';

import type { Deployment } from './deployment.js';
import type { Storage } from './storage.js';

export interface ReadersProps {
  readonly deployment: Deployment;
  readonly storage: Storage;
}

export class Readers extends Construct {
  constructor(scope: Construct, id: string, { deployment, storage }: ReadersProps) {
    super(scope, id);
    const { securityGroups } = deployment.readers;
    if (securityGroups.length === 0) return;
    for (const id of securityGroups) {
      const machines = ec2.SecurityGroup.fromSecurityGroupId(this, id, id, { mutable: false });
      storage.fileSystem.connections.allowFrom(
        machines,
        ec2.Port.tcp(2049),
        'hiwake: readers of the day files',
      );
    }
    if (deployment.fileSystemId) {
      Annotations.of(this).addWarningV2(
        'hiwake:readers',
        `hiwake does not change the policy of ${deployment.fileSystemId}, so readers might write: allow their roles ` +
          'elasticfilesystem:ClientMount, and deny them ClientWrite and ClientRootAccess (docs/security.md)',
      );
    }
    // Another user in the writers' group, who may read what the group may read. The file system's
    // policy denies readers ClientWrite, and so keeps them from writing.
    const accessPoint = storage.accessPoint('Reader', deployment.uid + 1);
    // From another zone, the name of a One Zone file system resolves only with its zone in front.
    const zone = deployment.zone ? `,az=${deployment.zone}` : '';
    new CfnOutput(Stack.of(this), 'MountCommand', {
      description:
        "Mounts the day files read-only on a reader's machine (needs amazon-efs-utils)",
      value: `sudo mkdir -p /mnt/hiwake && sudo mount -t efs -o ro,tls,iam${zone},accesspoint=${accessPoint.accessPointId} ${storage.fileSystem.fileSystemId}:/ /mnt/hiwake`,
    });
  }
}
