// The CRI server: every call of both services, over gRPC on a unix socket that only its owner can open.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
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

export interface AdditionalService {
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

/** Serves until `stop`; calls under way are cut off then, containers go on. */
export async function serveCri(
  context: CriContext,
  socketPath: string,
  additional: readonly AdditionalService[],
): Promise<{ stop(): Promise<void> }> {
  const server = new Server({
    'grpc.max_receive_message_length': 16 << 20,
    'grpc.max_send_message_length': -1,
    'grpc.enable_channelz': 0,
  });
  server.addService(RuntimeService.service, implementation(context, runtimeCalls, runtimeStreams));
  server.addService(ImageService.service, implementation(context, imageCalls, imageStreams));
  for (const service of additional) server.addService(service.definition, service.implementation);
  mkdirSync(dirname(socketPath), { recursive: true, mode: 0o700 });
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  chmodSync(socketPath, 0o600);
  return {
    async stop() {
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}

function implementation(context: CriContext, calls: UnaryCalls, streams: StreamCalls): UntypedServiceImplementation {
  const methods: UntypedServiceImplementation = {};
  for (const [name, call] of Object.entries(calls) as [string, AnyCall][]) {
    methods[name] = (request: ServerUnaryCall<object, object>, callback: sendUnaryData<unknown>) => {
      call(context, request.request).then(
        (response) => callback(null, response),
        (error: unknown) => callback(report(context, name, error)),
      );
    };
  }
  for (const [name, call] of Object.entries(streams) as [string, StreamCall<MethodName>][]) {
    methods[name] = (request: ServerWritableStream<object, object>) => {
      void writeAll(
        request,
        (signal) => call(context, request.request, signal) as AsyncIterable<object>,
        (error) => report(context, name, error),
      );
    };
  }
  return methods;
}

/** What the client sees of an error; unexpected ones are logged. */
export function report(context: CriContext, method: string, error: unknown): { code: status; details: string } {
  const known = criError(error);
  const level = known.code === status.INTERNAL || known.code === status.UNKNOWN ? 'warn' : 'debug';
  context.log[level]({ method, err: error }, 'call failed');
  return { code: known.code, details: known.message };
}

/** Writes a stream's messages at the speed of the client and ends the call. */
export async function writeAll<T extends object>(
  call: ServerWritableStream<object, object>,
  open: (signal: AbortSignal) => AsyncIterable<T>,
  translate: (error: unknown) => { code: status; details: string },
): Promise<void> {
  const gone = new AbortController();
  let drained: (() => void) | undefined;
  call.on('cancelled', () => {
    gone.abort();
    drained?.();
  });
  call.on('drain', () => drained?.());
  try {
    for await (const message of open(gone.signal)) {
      if (gone.signal.aborted) break;
      if (call.write(message as object)) continue;
      await new Promise<void>((resolve) => {
        drained = resolve;
        if (gone.signal.aborted) resolve();
      });
      drained = undefined;
    }
    call.end();
  } catch (error) {
    call.emit('error', translate(error));
  }
}
