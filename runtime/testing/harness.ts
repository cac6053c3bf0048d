// A runtime in a temporary directory with a fake launcher, and a typed client for it. Not used by the product.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientReadableStream, credentials, makeClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { ImageService, RuntimeService } from '../../proto/cri.ts';
import type { ImageServiceMethods, RuntimeServiceMethods } from '../../proto/cri-types.ts';
import { type ImageProgress, RuntimeImages, type RuntimeImagesMethods } from '../../proto/runtime-images.ts';
import { type RunningRuntime, startRuntime } from '../index.ts';
import type { Launcher } from '../launch/port.ts';
import { FakeLauncher } from './fake-launcher.ts';

type Methods = RuntimeServiceMethods & ImageServiceMethods;

export interface RuntimeClient {
  call<M extends keyof Methods>(method: M, request?: Methods[M][0]): Promise<Methods[M][1]>;
  stream<M extends keyof Methods>(method: M, request?: Methods[M][0]): ClientReadableStream<Methods[M][1]>;
  images<M extends keyof RuntimeImagesMethods>(method: M, request: RuntimeImagesMethods[M]): Promise<ImageProgress[]>;
  close(): void;
}

export function connectRuntime(socketPath: string): RuntimeClient {
  const target = `unix:${socketPath}`;
  const options = { 'grpc.max_receive_message_length': 64 << 20 };
  // Another implementation than the product's, on purpose.
  const clients = [RuntimeService, ImageService, RuntimeImages].map(
    (service) => new (makeClientConstructor(service, ''))(target, credentials.createInsecure(), options),
  );
  const owner = (method: string) => {
    const client = clients.find((c) => typeof (c as unknown as Record<string, unknown>)[method] === 'function');
    if (!client) throw new Error(`no method ${method}`);
    return client as unknown as Record<string, (...args: unknown[]) => unknown>;
  };
  return {
    call: (method, request = {}) =>
      new Promise((resolve, reject) => {
        (owner(method)[method] as (...args: unknown[]) => unknown).call(
          owner(method),
          request,
          (error: ServiceError | null, response: never) => (error ? reject(error) : resolve(response)),
        );
      }),
    stream: (method, request = {}) =>
      (owner(method)[method] as (...args: unknown[]) => unknown).call(owner(method), request) as never,
    async images(method, request) {
      const call = (clients[2] as unknown as Record<string, (r: unknown) => ClientReadableStream<ImageProgress>>)[
        method
      ]?.(request);
      const messages: ImageProgress[] = [];
      for await (const message of call as ClientReadableStream<ImageProgress>) messages.push(message as ImageProgress);
      return messages;
    },
    close() {
      for (const client of clients) client.close();
    },
  };
}

export interface Harness<L extends Launcher> {
  directory: string;
  launcher: L;
  runtime: RunningRuntime;
  client: RuntimeClient;
  /** As kill -9 and a new start: nothing is told to the old one. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startHarness<L extends Launcher = FakeLauncher>(
  options: { launcher?: L; clock?: Clock; random?: () => number } = {},
): Promise<Harness<L>> {
  const directory = mkdtempSync(join(tmpdir(), 'sampan-runtime-'));
  const clock = options.clock ?? systemClock;
  const launcher = options.launcher ?? (new FakeLauncher(clock) as Launcher as L);
  const start = () =>
    startRuntime({
      stateDir: join(directory, 'state'),
      socketPath: join(directory, 'cri.sock'),
      launcher,
      clock,
      random: options.random ?? Math.random,
      log: silentLogger,
      podCidr: '10.244.0.0/24',
      shmRoot: join(directory, 'shm'),
    });
  const harness: Harness<L> = {
    directory,
    launcher,
    runtime: await start(),
    client: connectRuntime(join(directory, 'cri.sock')),
    async restart() {
      harness.client.close();
      await harness.runtime.stop();
      harness.runtime = await start();
      harness.client = connectRuntime(join(directory, 'cri.sock'));
    },
    async stop() {
      harness.client.close();
      await harness.runtime.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return harness;
}

/** Builds `name` FROM scratch with the given files and further instructions; returns its id. */
export async function buildTestImage(
  harness: { directory: string; client: RuntimeClient },
  name: string,
  files: Record<string, string>,
  instructions = 'CMD ["/bin/app"]',
): Promise<string> {
  const context = mkdtempSync(join(harness.directory, 'context-'));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(context, path, '..'), { recursive: true });
    writeFileSync(join(context, path), content, { mode: 0o755 });
  }
  writeFileSync(join(context, '.dockerignore'), 'Dockerfile\n.dockerignore\n');
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch\nCOPY . /\n${instructions}\n`);
  const messages = await harness.client.images('Build', { contextDirectory: context, tags: [name] });
  return messages.at(-1)?.result?.ids?.[0] ?? '';
}
