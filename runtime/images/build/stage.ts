// One stage of a build: what its image holds and how it runs, step by step. Layers of COPY are addressed by their content,
// so that unchanged files are nothing new; layers of RUN are remembered by what they started from and what they ran.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { tarEnd, tarHeader } from '../../snapshots/tar.ts';
import type { RootfsView } from '../../snapshots/view.ts';
import { type StoredLayer, storeLayer } from '../compose.ts';
import { digestOf } from '../digest.ts';
import type { Images, OnProgress } from '../images.ts';
import type { ImageConfig, RunConfig } from '../oci.ts';
import { argsOf, configure, type Configured } from './configure.ts';
import type { CopySource } from './context.ts';
import { copyLayer, type ExtraFile } from './copy.ts';
import { DockerfileError, type Step } from './dockerfile.ts';
import { download, isGit, isUrl } from './download.ts';
import { expand } from './expand.ts';
import { resolveOwner, type RunStep } from './run.ts';
import { RunCache } from './run-cache.ts';

export interface StageOptions {
  images: Images;
  context: CopySource;
  /** ARG before the first FROM, and what the platform is: seen by stages that declare them. */
  globals: ReadonlyMap<string, string>;
  buildArgs: Readonly<Record<string, string>>;
  noCache: boolean;
  run: RunStep | undefined;
  onProgress: OnProgress | undefined;
  /** A stage or image by the name in COPY --from. */
  source(name: string, line: number): Promise<CopySource>;
}

/** What every RUN sees without an ARG, and no image remembers. */
const PREDEFINED = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** Diff id of a step that changed nothing. */
const emptyTarDigest = digestOf(tarEnd);

export class StageBuild {
  layers: StoredLayer[] = [];
  history: NonNullable<ImageConfig['history']> = [];
  configured: Configured = { run: {}, hasCmd: false };
  #options: StageOptions;
  #args = new Map<string, string>();

  constructor(options: StageOptions) {
    this.#options = options;
  }

  get run(): RunConfig {
    return this.configured.run;
  }

  /** Starts from an image or another stage; returns the instructions that it has left for its children. */
  startFrom(base: Pick<StageBuild, 'layers' | 'history'> & { run: RunConfig }): string[] {
    const { OnBuild: triggers, ...run } = structuredClone(base.run);
    this.layers = [...base.layers];
    this.history = [...base.history];
    this.configured = { run, hasCmd: false };
    return triggers ?? [];
  }

  async apply(step: Step): Promise<void> {
    switch (step.kind) {
      case 'arg':
        return this.#declare(step);
      case 'copy':
        return this.#copy(step);
      case 'run':
        return this.#run(step);
      case 'workdir':
        return this.#workdir(step);
      default:
        this.configured = configure(this.configured, step, (text) => this.#fill(text));
        this.#note(step, undefined);
    }
  }

  async view(): Promise<RootfsView> {
    const { images } = this.#options;
    const diffIds = this.layers.map((layer) => layer.diffId);
    await images.unpack({ layers: this.layers.map((layer) => layer.descriptor), diffIds });
    return images.view({ diffIds });
  }

  #fill(text: string): string {
    const environment = (this.run.Env ?? []).map((entry): [string, string] => {
      const equals = entry.indexOf('=');
      return [entry.slice(0, equals), entry.slice(equals + 1)];
    });
    return expand(text, new Map([...this.#args, ...environment]));
  }

  #note(step: Step, layer: StoredLayer | undefined): void {
    if (layer) this.layers.push(layer);
    this.history.push({ created_by: step.text, ...(layer ? {} : { empty_layer: true }) });
  }

  #declare(step: Step & { kind: 'arg' }): void {
    for (const { name, value } of step.args) {
      const given = this.#options.buildArgs[name];
      const found = given ?? (value === undefined ? this.#options.globals.get(name) : this.#fill(value));
      if (found !== undefined) this.#args.set(name, found);
    }
  }

  async #copy(step: Step & { kind: 'copy' }): Promise<void> {
    const { images, context } = this.#options;
    const view = await this.view();
    const fill = (text: string) => this.#fill(text);
    const sources = step.sources.map(fill);
    const git = step.add ? sources.find(isGit) : undefined;
    if (git)
      throw new DockerfileError(step.line, `"${git}": repositories cannot be added; clone them into the context`);
    const isRemote = (source: string) => step.add && isUrl(source);
    const temporary = mkdtempSync(join(tmpdir(), 'sampan-build-'));
    try {
      const extra: ExtraFile[] = step.heredocs.map(({ name, content, isExpanded }) => ({
        name,
        content: Buffer.from(isExpanded ? fill(content) : content),
        mode: 0o644,
      }));
      for (const url of sources.filter(isRemote)) {
        extra.push(await download(url, temporary, step.checksum === undefined ? undefined : fill(step.checksum)));
      }
      const from = step.from === undefined ? undefined : await this.#options.source(fill(step.from), step.line);
      const chown = step.chown === undefined ? undefined : fill(step.chown);
      const tar = await copyLayer({
        step: { ...step, sources: sources.filter((source) => !isRemote(source)), destination: fill(step.destination) },
        source: from ?? context,
        extra,
        view,
        workingDirectory: this.run.WorkingDir || '/',
        // What another stage made keeps its owners.
        owner: from && chown === undefined ? undefined : resolveOwner(chown, view),
      });
      this.#note(step, await storeLayer(images, tar));
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  }

  async #run(step: Step & { kind: 'run' }): Promise<void> {
    const { images, run: runner, noCache, onProgress, buildArgs } = this.#options;
    if (!runner) throw new DockerfileError(step.line, 'RUN needs a running runtime');
    const network = step.network ?? 'default';
    if (!['default', 'host', 'none'].includes(network)) {
      throw new DockerfileError(step.line, `--network=${network} is none of default, host, none`);
    }
    const diffIds = this.layers.map((layer) => layer.diffId);
    const args = argsOf(step.command, this.run);
    const predefined = PREDEFINED.filter((name) => buildArgs[name] !== undefined && !this.#args.has(name));
    const known = { args, script: step.script, network, env: this.run.Env ?? [], variables: [...this.#args] };
    const key = digestOf(JSON.stringify([diffIds, known, this.run.User ?? '', this.run.WorkingDir ?? '']));
    const cache = new RunCache(join(images.root, 'build-cache.json'));
    const cached = noCache ? undefined : cache.get(key);
    if (cached && (!cached.layer || images.content.has(cached.layer.descriptor.digest))) {
      onProgress?.({ what: 'cached' });
      return this.#note(step, cached.layer);
    }
    await this.view();
    const layer = await runner({
      chain: images.chain({ diffIds }),
      config: this.run,
      args,
      script: step.script,
      network: network === 'none' ? 'none' : 'host',
      buildArgs: [...this.#args, ...predefined.map((name) => [name, buildArgs[name]])].map(([n, v]) => `${n}=${v}`),
      onOutput: (output) => onProgress?.({ what: 'run', output }),
      store: (tar) => storeLayer(images, tar),
    });
    const changed = layer.diffId === emptyTarDigest ? undefined : layer;
    cache.put(key, { layer: changed });
    this.#note(step, changed);
  }

  async #workdir(step: Step & { kind: 'workdir' }): Promise<void> {
    const directory = posix.resolve(this.run.WorkingDir || '/', this.#fill(step.value));
    this.configured = { ...this.configured, run: { ...this.run, WorkingDir: directory } };
    const view = await this.view();
    if (view.find(directory)) return this.#note(step, undefined);
    const tar = directoryLayer(view.resolve(directory), (path) => view.find(path)?.stats);
    this.#note(step, await storeLayer(this.#options.images, tar));
  }
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
