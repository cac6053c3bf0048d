// The CRI server: every call of both services, over gRPC on a unix socket that only its owner can open.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { type GrpcService, type Handlers, type Sink, serveGrpc } from '../../lib/grpc/server.ts';
import { GrpcError, status } from '../../lib/grpc/status.ts';
import { ImageService, RuntimeService } from '../../proto/cri.ts';
import { attach } from './attach.ts';
import { containerStatus } from './container-status.ts';
import type { Call, CriContext, MethodName, StreamCall } from './context.ts';
import { createContainer } from './create-container.ts';
import { criError } from './errors.ts';
import { exec } from './exec.ts';
import { execSync } from './exec-sync.ts';
import { getContainerEvents } from './get-container-events.ts';
import { imageFsInfo, imageStatus, listImages, pullImage, removeImage, streamImages } from './images.ts';
import { listContainers, streamContainers } from './list-containers.ts';
import { listPodSandbox, streamPodSandboxes } from './list-pod-sandbox.ts';
import { podSandboxStatus } from './pod-sandbox-status.ts';
import { listMetricDescriptors, listPodSandboxMetrics, streamPodSandboxMetrics } from './metrics.ts';
import { portForward } from './port-forward.ts';
import { removeContainer } from './remove-container.ts';
import { removePodSandbox } from './remove-pod-sandbox.ts';
import { reopenContainerLog } from './reopen-container-log.ts';
import { runPodSandbox } from './run-pod-sandbox.ts';
import { runtimeConfig, updateRuntimeConfig } from './runtime-config.ts';
import { startContainer } from './start-container.ts';
import {
  containerStats,
  listContainerStats,
  listPodSandboxStats,
  podSandboxStats,
  streamContainerStats,
  streamPodSandboxStats,
} from './stats.ts';
import { runtimeStatus } from './status.ts';
import { stopContainer } from './stop-container.ts';
import { stopPodSandbox } from './stop-pod-sandbox.ts';
import { unimplemented } from './unimplemented.ts';
import { updateContainerResources, updatePodSandboxResources } from './update-resources.ts';
import { version } from './version.ts';

/** Seen from the wire all calls are alike. */
type AnyCall = (context: CriContext, request: object) => Promise<object>;
type UnaryCalls = { [M in MethodName]?: Call<M> };
type StreamCalls = { [M in MethodName]?: StreamCall<M> };

const runtimeCalls: UnaryCalls = {
  Version: version,
  Status: runtimeStatus,
  RuntimeConfig: runtimeConfig,
  UpdateRuntimeConfig: updateRuntimeConfig,
  RunPodSandbox: runPodSandbox,
  StopPodSandbox: stopPodSandbox,
  RemovePodSandbox: removePodSandbox,
  PodSandboxStatus: podSandboxStatus,
  ListPodSandbox: listPodSandbox,
  CreateContainer: createContainer,
  StartContainer: startContainer,
  StopContainer: stopContainer,
  RemoveContainer: removeContainer,
  ListContainers: listContainers,
  ContainerStatus: containerStatus,
  UpdateContainerResources: updateContainerResources,
  UpdatePodSandboxResources: updatePodSandboxResources,
  ReopenContainerLog: reopenContainerLog,
  ExecSync: execSync,
  Exec: exec,
  Attach: attach,
  PortForward: portForward,
  ContainerStats: containerStats,
  ListContainerStats: listContainerStats,
  PodSandboxStats: podSandboxStats,
  ListPodSandboxStats: listPodSandboxStats,
  CheckpointContainer: unimplemented('CheckpointContainer'),
  ListMetricDescriptors: listMetricDescriptors,
  ListPodSandboxMetrics: listPodSandboxMetrics,
};

const runtimeStreams: StreamCalls = {
  StreamPodSandboxes: streamPodSandboxes,
  StreamContainers: streamContainers,
  StreamContainerStats: streamContainerStats,
  StreamPodSandboxStats: streamPodSandboxStats,
  StreamPodSandboxMetrics: streamPodSandboxMetrics,
  GetContainerEvents: getContainerEvents,
};

const imageCalls: UnaryCalls = {
  ListImages: listImages,
  ImageStatus: imageStatus,
  PullImage: pullImage,
  RemoveImage: removeImage,
  ImageFsInfo: imageFsInfo,
};

const imageStreams: StreamCalls = { StreamImages: streamImages };

/** Serves until `stop`; calls under way are cut off then, containers go on. */
export async function serveCri(
  context: CriContext,
  socketPath: string,
  additional: readonly GrpcService[],
): Promise<{ stop(): Promise<void> }> {
  const services: GrpcService[] = [
    { definition: RuntimeService, handlers: handlersOf(context, runtimeCalls, runtimeStreams) },
    { definition: ImageService, handlers: handlersOf(context, imageCalls, imageStreams) },
    ...additional,
  ];
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
  rmSync(socketPath, { force: true });
  const server = await serveGrpc(socketPath, services, { maxReceiveBytes: 16 << 20 });
  chmodSync(socketPath, 0o600);
  return {
    async stop() {
      await server.stop();
      rmSync(socketPath, { force: true });
    },
  };
}

function handlersOf(context: CriContext, calls: UnaryCalls, streams: StreamCalls): Handlers {
  const unary: Handlers['unary'] = {};
  for (const [name, call] of Object.entries(calls) as [string, AnyCall][]) {
    unary[name] = (request: object) =>
      call(context, request).catch((error: unknown) => {
        throw report(context, name, error);
      });
  }
  const streaming: Handlers['streams'] = {};
  for (const [name, call] of Object.entries(streams) as [string, StreamCall<MethodName>][]) {
    streaming[name] = (request: object, sink, signal) =>
      writeAll(sink, call(context, request, signal) as AsyncIterable<object>, signal).catch((error: unknown) => {
        throw report(context, name, error);
      });
  }
  return { unary, streams: streaming };
}

/** What the client sees of an error; unexpected ones are logged. */
export function report(context: CriContext, method: string, error: unknown): GrpcError {
  const known = criError(error);
  const level = known.code === status.INTERNAL || known.code === status.UNKNOWN ? 'warn' : 'debug';
  context.log[level]({ method, err: error }, 'call failed');
  return new GrpcError(known.code, known.message, { cause: error });
}

/** Writes a stream's messages at the speed of the client. */
async function writeAll(sink: Sink, messages: AsyncIterable<object>, signal: AbortSignal): Promise<void> {
  for await (const message of messages) {
    if (signal.aborted) return;
    if (!sink.write(message)) await sink.drained();
  }
}
