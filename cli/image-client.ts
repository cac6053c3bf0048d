// Calls a running node's image service, on the same unix socket as CRI.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createGrpcClient } from '../lib/grpc/client.ts';
import type { MethodDefinition } from '../lib/grpc/proto-file.ts';
import { GrpcError } from '../lib/grpc/status.ts';
import {
  type ImageProgress,
  type ImageResult,
  RuntimeImages,
  type RuntimeImagesMethods,
} from '../proto/runtime-images.ts';
import { UserError } from './user-error.ts';

/** Runs one method to its end; `onLine` gets what it does and prints. Errors are one line for a person. */
export async function callImages<M extends keyof RuntimeImagesMethods>(
  criSocket: string,
  method: M,
  request: RuntimeImagesMethods[M],
  onLine: (line: string) => void,
): Promise<ImageResult> {
  if (!existsSync(criSocket))
    throw new UserError(`no runtime is listening at ${criSocket}: start one with 'sampan up'`);
  const client = createGrpcClient({ socketPath: criSocket }, { maxReceiveBytes: Number.POSITIVE_INFINITY });
  try {
    let result: ImageResult | undefined;
    for await (const progress of client.stream<ImageProgress>(RuntimeImages[method] as MethodDefinition, request)) {
      if (progress.result) result = progress.result;
      else onLine(lineOf(progress));
    }
    return result ?? {};
  } catch (error) {
    throw new UserError((error instanceof GrpcError && error.details) || (error as Error).message);
  } finally {
    client.close();
  }
}

export function requireRuntime(criSocket: string): void {
  if (!existsSync(criSocket)) {
    throw new UserError(`no runtime is listening at ${criSocket}: start one with 'sampan up'`);
  }
}

function lineOf({ what, doneBytes, totalBytes, output }: ImageProgress): string {
  if (output) return output.trimEnd();
  if (totalBytes) return `${what} ${megabytes(doneBytes ?? 0)}/${megabytes(totalBytes)}`;
  return what ?? '';
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

export function buildOnNode(
  criSocket: string,
  build: {
    contextDir: string;
    tags: string[];
    dockerfile?: string;
    buildArgs?: Record<string, string>;
    target?: string;
    noCache?: boolean;
  },
  onLine: (line: string) => void,
): Promise<ImageResult> {
  const { contextDir, tags, dockerfile, buildArgs, target, noCache } = build;
  return callImages(
    criSocket,
    'Build',
    {
      contextDirectory: resolve(contextDir),
      tags,
      ...(dockerfile && { dockerfile: resolve(dockerfile) }),
      ...(buildArgs && { buildArgs }),
      ...(target && { target }),
      ...(noCache && { noCache }),
    },
    onLine,
  );
}
