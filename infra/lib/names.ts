// The pipeline's name, and the names that are derived from it. A name that people type, or that a
// filter excludes, is fixed.

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

/** The ARN of the delivery stream, which has the pipeline's name. */
export function streamArn(scope: Construct): string {
  const { name: resourceName } = pipelineOf(scope);
  return Stack.of(scope).formatArn({
    service: 'firehose',
    resource: 'deliverystream',
    resourceName,
  });
}

/**
 * The log group of one of the pipeline's parts. The pipeline must never carry it, because each
 * event would cause another.
 */
export function logGroupName(pipeline: string, part: OwnLogGroup): string {
  return `/hiwake/${pipeline}/${part}`;
}

export const OWN_LOG_GROUPS = ['transform', 'land', 'seal', 'stream'] as const;
export type OwnLogGroup = (typeof OWN_LOG_GROUPS)[number];
