// The pipeline's name, and the names that follow from it. They are fixed where somebody types or
// excludes them.

import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

export interface Pipeline {
  readonly name: string;
  /** Where docs/runbook.md can be read. */
  readonly runbook: string;
}

const KEY = 'hiwake:pipeline';

export function setPipeline(stack: Stack, pipeline: Pipeline): void {
  stack.node.setContext(KEY, pipeline);
}

export function pipelineOf(scope: Construct): Pipeline {
  return scope.node.getContext(KEY) as Pipeline;
}

/** Of the delivery stream, which has the pipeline's name. */
export function streamArn(scope: Construct): string {
  const { name: resourceName } = pipelineOf(scope);
  return Stack.of(scope).formatArn({
    service: 'firehose',
    resource: 'deliverystream',
    resourceName,
  });
}

/**
 * What the pipeline says of itself is logged here. It must never be carried by the pipeline: that
 * would not end.
 */
export function logGroupName(pipeline: string, part: OwnLogGroup): string {
  return `/hiwake/${pipeline}/${part}`;
}

export const OWN_LOG_GROUPS = ['transform', 'land', 'seal', 'stream'] as const;
export type OwnLogGroup = (typeof OWN_LOG_GROUPS)[number];
