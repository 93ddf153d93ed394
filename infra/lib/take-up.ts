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

const BUCKET = {
  key: 'BucketName',
  example: 'BUCKET',
  form: /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
  fault: 'a bucket; write BUCKET, its name',
};
/** What can be taken up: its logical id in the template, and the key that identifies it. */
const KINDS = {
  'file-system': {
    id: /^StorageFiles\w{8}$/,
    key: 'FileSystemId',
    example: 'fs-…',
    form: /^fs-([0-9a-f]{8}|[0-9a-f]{17})$/,
    fault: 'a file system; write fs-…',
  },
  delivery: { id: /^StorageDelivery\w{8}$/, ...BUCKET },
  backup: { id: /^StorageBackup\w{8}$/, ...BUCKET },
} as const;

export type Left = { readonly [kind in keyof typeof KINDS]?: string };

export const USAGE = Object.entries(KINDS)
  .map(([kind, { example }]) => `[--${kind} ${example}]`)
  .join(' ');

export interface TakeUp {
  readonly template: { readonly Resources: Record<string, unknown> };
  readonly resources: unknown[];
}

/** What `cdk synth` writes beside the templates, manifest.json. */
export interface Manifest {
  readonly artifacts: Record<
    string,
    { type: string; properties?: { stackName?: string; templateFile?: string } }
  >;
}

/** The file of a stack's template: it has the construct's id, not the stack's name. */
export function templateFile({ artifacts }: Manifest, stack: string): string {
  for (const [id, { type, properties }] of Object.entries(artifacts)) {
    if (type !== 'aws:cloudformation:stack' || !properties?.templateFile) continue;
    if ((properties.stackName ?? id) === stack) return properties.templateFile;
  }
  throw new Error(
    `the assembly has no stack ${stack}: run \`npx cdk synth\`; --assembly names the folder, of a stage its own`,
  );
}

/** The template of the import, and what it imports. */
export function takeUp(template: Template, left: Left): TakeUp {
  const Resources: Record<string, unknown> = {};
  const resources: unknown[] = [];
  for (const [kind, name] of Object.entries(left) as [keyof typeof KINDS, string][]) {
    const { id, key, form, fault } = KINDS[kind];
    if (!form.test(name)) throw new Error(`--${kind}: \`${name}\` is not ${fault}`);
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
