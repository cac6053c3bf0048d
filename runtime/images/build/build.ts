// Builds an image from a Dockerfile. Each step is a pure change of the image's configuration, a layer, or both. Layers
// of COPY are addressed by their content, so that unchanged files are nothing new; layers of RUN are remembered by what
// they started from and what they ran.
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { writeFileAtomic } from '../../../lib/files.ts';

import type { ImageRecord } from '../catalog.ts';
import { composeImage, type StoredLayer, storeLayer } from '../compose.ts';
import { digestOf } from '../digest.ts';
import { ImageError } from '../errors.ts';
import type { Images, OnProgress } from '../images.ts';
import type { ImageConfig, RunConfig } from '../oci.ts';
import { resolveOwner, type RunStep } from './run.ts';
import { BuildContext } from './context.ts';
import { copyLayer } from './copy.ts';
import { type Command, DockerfileError, expand, parseDockerfile, type Step } from './dockerfile.ts';
import { tarEnd, tarHeader } from '../../snapshots/tar.ts';

export interface BuildOptions {
  /** Absolute. */
  contextDirectory: string;
  /** Text of the Dockerfile; default: the file of that name in the context. */
  dockerfile?: string;
  tags: readonly string[];
  buildArgs?: Readonly<Record<string, string>>;
  /** Runs again what was run before. */
  noCache?: boolean;
  /** Executes RUN in a container; without it RUN is refused. */
  run?: RunStep;
  /** Fetches a base image that is not here; without it that is an error. */
  pull?: (reference: string) => Promise<ImageRecord>;
  onProgress?: OnProgress;
}

interface BuildState {
  layers: StoredLayer[];
  run: RunConfig;
  history: NonNullable<ImageConfig['history']>;
  args: Map<string, string>;
  hasCmd: boolean;
}

const shell = ['/bin/sh', '-c'];
/** Diff id of a step that changed nothing. */
const emptyTarDigest = digestOf(tarEnd);

export async function buildImage(images: Images, options: BuildOptions): Promise<ImageRecord> {
  const text = options.dockerfile ?? readDockerfile(options.contextDirectory);
  const steps = parseDockerfile(text);
  const context = new BuildContext(options.contextDirectory);
  const declared = new Set(steps.filter((step) => step.kind === 'arg').map((step) => step.name));
  for (const name of Object.keys(options.buildArgs ?? {})) {
    if (!declared.has(name)) throw new ImageError('invalid', `build argument "${name}" is not declared by an ARG`);
  }
  return images.exclusiveOfGc(async () => {
    const state: BuildState = { layers: [], run: {}, history: [], args: new Map(), hasCmd: false };
    for (const [i, step] of steps.entries()) {
      options.onProgress?.({ what: `step ${i + 1}/${steps.length} ${step.text}` });
      try {
        await apply(images, options, context, state, step);
      } catch (error) {
        if (error instanceof DockerfileError) throw error;
        if (error instanceof ImageError) {
          throw new ImageError(error.kind, `Dockerfile line ${step.line}: ${error.message}`, { cause: error.cause });
        }
        throw new DockerfileError(step.line, (error as Error).message);
      }
    }
    return composeImage(images, state, options.tags);
  });
}

function readDockerfile(directory: string): string {
  try {
    return readFileSync(join(directory, 'Dockerfile'), 'utf8');
  } catch (error) {
    throw new ImageError('not-found', `no Dockerfile in ${directory}`, { cause: error });
  }
}

async function apply(
  images: Images,
  options: BuildOptions,
  context: BuildContext,
  state: BuildState,
  step: Step,
): Promise<void> {
  const { run } = state;
  const variables = new Map([...state.args, ...(run.Env ?? []).map(splitEnv)]);
  const fill = (text: string) => expand(text, variables);
  const note = (empty: boolean) =>
    state.history.push({ created_by: step.text, ...(empty ? { empty_layer: true } : {}) });
  const addLayer = async (tar: AsyncIterable<Uint8Array>) => {
    state.layers.push(await storeLayer(images, tar));
    note(false);
  };
  switch (step.kind) {
    case 'arg': {
      const value = options.buildArgs?.[step.name] ?? (step.value === undefined ? undefined : fill(step.value));
      if (value !== undefined) state.args.set(step.name, value);
      return;
    }
    case 'from':
      return startFrom(images, options, state, step, fill(step.image));
    case 'copy': {
      await unpackAll(images, state);
      const view = images.view({ diffIds: state.layers.map((layer) => layer.diffId) });
      const filled = { ...step, sources: step.sources.map(fill), destination: fill(step.destination) };
      const owner = resolveOwner(step.chown === undefined ? undefined : fill(step.chown), view);
      return addLayer(copyLayer(filled, context, view, { workingDirectory: run.WorkingDir || '/', owner }));
    }
    case 'run': {
      if (!options.run) throw new DockerfileError(step.line, 'RUN needs a running runtime');
      const layer = await runStep(images, options, options.run, state, argsOf(step.command));
      if (layer) state.layers.push(layer);
      note(!layer);
      return;
    }
    case 'workdir': {
      run.WorkingDir = posix.resolve(run.WorkingDir || '/', fill(step.value));
      await unpackAll(images, state);
      const view = images.view({ diffIds: state.layers.map((layer) => layer.diffId) });
      if (view.find(run.WorkingDir)) return void note(true);
      return addLayer(directoryLayer(view.resolve(run.WorkingDir), (path) => view.find(path)?.stats));
    }
    case 'env':
      for (const { name, value } of step.pairs) {
        const filled = fill(value);
        run.Env = [...(run.Env ?? []).filter((entry) => !entry.startsWith(`${name}=`)), `${name}=${filled}`];
      }
      break;
    case 'label':
      for (const { name, value } of step.pairs) run.Labels = { ...run.Labels, [name]: fill(value) };
      break;
    case 'cmd':
      run.Cmd = argsOf(step.command);
      state.hasCmd = true;
      break;
    case 'entrypoint':
      run.Entrypoint = argsOf(step.command);
      // A base image's arguments do not fit a new entrypoint.
      if (!state.hasCmd) delete run.Cmd;
      break;
    case 'user':
      run.User = fill(step.value);
      break;
    case 'stopsignal':
      run.StopSignal = fill(step.value);
      break;
    case 'expose':
      for (const value of step.values.map(fill)) {
        if (!/^\d+(-\d+)?(\/(tcp|udp|sctp))?$/i.test(value))
          throw new DockerfileError(step.line, `"${value}" is not a port`);
        run.ExposedPorts = { ...run.ExposedPorts, [value.includes('/') ? value.toLowerCase() : `${value}/tcp`]: {} };
      }
      break;
    case 'volume':
      for (const value of step.values.map(fill)) run.Volumes = { ...run.Volumes, [value]: {} };
      break;
  }
  note(true);
}

async function startFrom(
  images: Images,
  options: BuildOptions,
  state: BuildState,
  step: Step,
  reference: string,
): Promise<void> {
  if (reference === 'scratch') return;
  const base = images.catalog.find(reference) ?? (await options.pull?.(reference));
  if (!base) throw new DockerfileError(step.line, `base image "${reference}" is not here`);
  const config = images.content.readJson<ImageConfig>(base.config.digest);
  state.layers = base.layers.map((descriptor, i) => ({ descriptor, diffId: base.diffIds[i] as string }));
  state.run = structuredClone(base.run);
  state.history = config.history ?? [];
}

async function runStep(
  images: Images,
  options: BuildOptions,
  runner: RunStep,
  state: BuildState,
  args: string[],
): Promise<StoredLayer | undefined> {
  const diffIds = state.layers.map((layer) => layer.diffId);
  const key = digestOf(
    JSON.stringify([
      diffIds,
      args,
      state.run.Env ?? [],
      [...state.args],
      state.run.User ?? '',
      state.run.WorkingDir ?? '',
    ]),
  );
  const cache = new RunCache(join(images.root, 'build-cache.json'));
  const known = options.noCache ? undefined : cache.get(key);
  if (known && (known.layer === undefined || images.content.has(known.layer.descriptor.digest))) {
    options.onProgress?.({ what: 'cached' });
    return known.layer;
  }
  await unpackAll(images, state);
  const layer = await runner({
    chain: images.chain({ diffIds }),
    config: state.run,
    args,
    buildArgs: [...state.args].map(([name, value]) => `${name}=${value}`),
    onOutput: (output) => options.onProgress?.({ what: 'run', output }),
    store: async (tar) => storeLayer(images, tar),
  });
  const result = layer.diffId === emptyTarDigest ? undefined : layer;
  cache.put(key, { layer: result });
  return result;
}

class RunCache {
  #path: string;
  #entries: Record<string, { layer?: StoredLayer }>;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#entries = JSON.parse(readFileSync(path, 'utf8')) as Record<string, { layer?: StoredLayer }>;
    } catch {
      this.#entries = {};
    }
  }

  get(key: string): { layer?: StoredLayer } | undefined {
    return this.#entries[key];
  }

  put(key: string, entry: { layer?: StoredLayer }): void {
    this.#entries[key] = entry;
    writeFileAtomic(this.#path, JSON.stringify(this.#entries));
  }
}

async function unpackAll(images: Images, state: BuildState): Promise<void> {
  await images.unpack({ layers: state.layers.map((l) => l.descriptor), diffIds: state.layers.map((l) => l.diffId) });
}

async function* directoryLayer(
  path: string,
  statOf: (path: string) => { mode: number; uid: number; gid: number } | undefined,
): AsyncGenerator<Buffer> {
  let made = '';
  for (const part of path.split('/').filter((p) => p !== '')) {
    made += `/${part}`;
    const below = statOf(made);
    yield tarHeader({
      name: `${made.slice(1)}/`,
      type: 'directory',
      mode: below ? below.mode & 0o7777 : 0o755,
      uid: below?.uid ?? 0,
      gid: below?.gid ?? 0,
    });
  }
  yield tarEnd;
}

function argsOf(command: Command): string[] {
  return command.form === 'exec' ? command.args : [...shell, command.text];
}

function splitEnv(entry: string): [string, string] {
  const equals = entry.indexOf('=');
  return [entry.slice(0, equals), entry.slice(equals + 1)];
}
