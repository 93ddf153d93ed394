// A removed stack leaves its buckets and its file system behind. A new stack takes them up:
// CloudFormation imports them with a template that contains nothing else. Then `cdk deploy` makes
// the rest.

/** The part that matters here of what `npx cdk synth` writes. */
export interface Template {
  readonly Resources: Record<string, Resource>;
}

interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  readonly Properties: Record<string, unknown>;
}

/** What can be taken up: its logical id in the template, and the key that identifies it. */
const KINDS = {
  'file-system': { id: /^StorageFiles\w{8}$/, key: 'FileSystemId', example: 'fs-…' },
  delivery: { id: /^StorageDelivery\w{8}$/, key: 'BucketName', example: 'BUCKET' },
  backup: { id: /^StorageBackup\w{8}$/, key: 'BucketName', example: 'BUCKET' },
} as const;

export type Left = { readonly [kind in keyof typeof KINDS]?: string };

export const USAGE = Object.entries(KINDS)
  .map(([kind, { example }]) => `[--${kind} ${example}]`)
  .join(' ');

export interface TakeUp {
  readonly template: { readonly Resources: Record<string, unknown> };
  readonly resources: unknown[];
}

/** The template of the import, and what it imports. */
export function takeUp(template: Template, left: Left): TakeUp {
  const Resources: Record<string, unknown> = {};
  const resources: unknown[] = [];
  for (const [kind, name] of Object.entries(left) as [keyof typeof KINDS, string][]) {
    const { id, key } = KINDS[kind];
    const [logicalId, resource] =
      Object.entries(template.Resources).find(([one]) => id.test(one)) ?? [];
    if (!logicalId || !resource) {
      throw new Error(
        `--${kind}: leave it out: deployment.toml names an existing one, which is used as it is`,
      );
    }
    // The import does not make the queue of the notices; the deployment that follows sets it.
    const { NotificationConfiguration: _, ...Properties } = resource.Properties;
    const { Type, DeletionPolicy } = resource;
    if (DeletionPolicy === 'Delete') {
      throw new Error(
        `--${kind}: removal = "destroy" would delete it; write removal = "retain" in deployment.toml`,
      );
    }
    Resources[logicalId] = { Type, DeletionPolicy, UpdateReplacePolicy: 'Retain', Properties };
    resources.push({
      ResourceType: Type,
      LogicalResourceId: logicalId,
      ResourceIdentifier: { [key]: name },
    });
  }
  return { template: { Resources }, resources };
}
