// Builds an image from a Dockerfile: the stage that is wanted, and before it the stages it is made of.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageRecord } from '../catalog.ts';
import { composeImage } from '../compose.ts';
import { ImageError } from '../errors.ts';
import type { Images, OnProgress } from '../images.ts';
import type { ImageConfig, Platform } from '../oci.ts';
import { BuildContext, type CopySource } from './context.ts';
import {
  DockerfileError,
  type Dockerfile,
  parseDockerfile,
  parseTrigger,
  type Stage,
  type Step,
} from './dockerfile.ts';
import { expand, ExpansionError } from './expand.ts';
import type { RunStep } from './run.ts';
import { StageBuild, type StageOptions } from './stage.ts';
import { ImageTree } from './tree.ts';

export interface BuildOptions {
  /** Absolute. */
  contextDirectory: string;
  /** Text of the Dockerfile; default: the file of that name in the context. */
  dockerfile?: string;
  tags: readonly string[];
  buildArgs?: Readonly<Record<string, string>>;
  /** The stage to build, by name or number; default: the last. */
  target?: string;
  /** Runs again what was run before. */
  noCache?: boolean;
  /** Executes RUN in a container; without it RUN is refused. */
  run?: RunStep;
  /** Fetches a base image that is not here; without it that is an error. */
  pull?: (reference: string) => Promise<ImageRecord>;
  onProgress?: OnProgress;
}

export async function buildImage(images: Images, options: BuildOptions): Promise<ImageRecord> {
  const file = parseDockerfile(options.dockerfile ?? readDockerfile(options.contextDirectory));
  refuseUndeclared(file, options.buildArgs ?? {});
  const target = options.target === undefined ? file.stages.at(-1) : stageNamed(file.stages, options.target);
  if (!target) throw new ImageError('invalid', `target "${options.target}" is no stage of the Dockerfile`);
  const build = new Build(images, options, file);
  return images.exclusiveOfGc(async () => {
    const { layers, run, history, configured } = await build.stage(target);
    return composeImage(images, { layers, run, history, author: configured.author }, options.tags);
  });
}

function readDockerfile(directory: string): string {
  try {
    return readFileSync(join(directory, 'Dockerfile'), 'utf8');
  } catch (error) {
    throw new ImageError('not-found', `no Dockerfile in ${directory}`, { cause: error });
  }
}

function refuseUndeclared(file: Dockerfile, buildArgs: Readonly<Record<string, string>>): void {
  const steps: Step[] = [...file.args, ...file.stages.flatMap((stage) => stage.steps)];
  const declared = new Set(steps.flatMap((step) => (step.kind === 'arg' ? step.args.map((each) => each.name) : [])));
  for (const name of Object.keys(buildArgs)) {
    if (declared.has(name) || /_proxy$/i.test(name)) continue;
    throw new ImageError('invalid', `build argument "${name}" is not declared by an ARG`);
  }
}

/** Names win over numbers, later names over earlier ones. */
function stageNamed(stages: readonly Stage[], name: string): Stage | undefined {
  const named = stages.findLast((stage) => stage.name === name.toLowerCase());
  return named ?? (/^\d+$/.test(name) ? stages[Number(name)] : undefined);
}

class Build {
  #images: Images;
  #options: BuildOptions;
  #file: Dockerfile;
  #context: CopySource;
  #globals: ReadonlyMap<string, string>;
  #built = new Map<Stage, Promise<StageBuild>>();

  constructor(images: Images, options: BuildOptions, file: Dockerfile) {
    this.#images = images;
    this.#options = options;
    this.#file = file;
    this.#context = new BuildContext(options.contextDirectory);
    this.#globals = globalsOf(file, options.buildArgs ?? {}, images.platform);
  }

  /** Each stage is built once. */
  stage(stage: Stage): Promise<StageBuild> {
    let built = this.#built.get(stage);
    if (!built) {
      built = this.#build(stage);
      this.#built.set(stage, built);
    }
    return built;
  }

  async #build(stage: Stage): Promise<StageBuild> {
    const { onProgress } = this.#options;
    const build = new StageBuild(this.#stageOptions(stage));
    const triggers = await atLine(stage.line, () => this.#start(build, stage));
    const steps = [...triggers.flatMap((trigger) => parseTrigger(trigger, stage.line)), ...stage.steps];
    const prefix = this.#file.stages.length > 1 ? `${stage.name ?? `stage ${stage.index}`} ` : '';
    for (const [i, step] of steps.entries()) {
      onProgress?.({ what: `${prefix}step ${i + 2}/${steps.length + 1} ${step.text}` });
      await atLine(step.line, () => build.apply(step));
    }
    return build;
  }

  #stageOptions(stage: Stage): StageOptions {
    const { buildArgs = {}, noCache = false, run, onProgress } = this.#options;
    return {
      images: this.#images,
      context: this.#context,
      globals: this.#globals,
      buildArgs,
      noCache,
      run,
      onProgress,
      source: (name, line) => this.#source(stage, name, line),
    };
  }

  /** The instructions that the base has left for its children. */
  async #start(build: StageBuild, stage: Stage): Promise<string[]> {
    const { platform } = this.#images;
    this.#options.onProgress?.({ what: stage.text });
    if (stage.platform !== undefined) {
      const wanted = expand(stage.platform, this.#globals);
      const [os, architecture] = wanted.split('/');
      if (os !== platform.os || architecture !== platform.architecture) {
        throw new DockerfileError(
          stage.line,
          `--platform=${wanted}: only ${platform.os}/${platform.architecture} is built here`,
        );
      }
    }
    const reference = expand(stage.base, this.#globals);
    if (reference === 'scratch') return [];
    const earlier = stageNamed(
      this.#file.stages.slice(0, stage.index).filter((each) => each.name),
      reference,
    );
    if (earlier) return build.startFrom(await this.stage(earlier));
    const image = await this.#image(reference, stage.line, `base image "${reference}" is not here`);
    const { history = [] } = this.#images.content.readJson<ImageConfig>(image.config.digest);
    const layers = image.layers.map((descriptor, i) => ({ descriptor, diffId: image.diffIds[i] as string }));
    return build.startFrom({ layers, history, run: image.run });
  }

  async #source(stage: Stage, name: string, line: number): Promise<CopySource> {
    const earlier = stageNamed(this.#file.stages.slice(0, stage.index), name);
    if (earlier) return new ImageTree(`stage "${name}"`, await (await this.stage(earlier)).view());
    if (stageNamed(this.#file.stages, name)) {
      throw new DockerfileError(line, `--from=${name}: the stage does not come before this one`);
    }
    const image = await this.#image(name, line, `--from=${name} is neither a stage nor an image that is here`);
    return new ImageTree(`image "${name}"`, this.#images.view(image));
  }

  async #image(reference: string, line: number, absent: string): Promise<ImageRecord> {
    const found = this.#images.catalog.find(reference) ?? (await this.#options.pull?.(reference));
    if (!found) throw new DockerfileError(line, absent);
    return found;
  }
}

/** What is known before any stage: the platform's names, and the ARG lines before the first FROM. */
function globalsOf(
  file: Dockerfile,
  buildArgs: Readonly<Record<string, string>>,
  { os, architecture, variant }: Platform,
): ReadonlyMap<string, string> {
  const platform = [os, architecture, variant].filter(Boolean).join('/');
  const globals = new Map<string, string>();
  for (const which of ['TARGET', 'BUILD']) {
    globals.set(`${which}PLATFORM`, platform);
    globals.set(`${which}OS`, os);
    globals.set(`${which}ARCH`, architecture);
    globals.set(`${which}VARIANT`, variant ?? '');
  }
  for (const { args } of file.args) {
    for (const { name, value } of args) {
      const found = buildArgs[name] ?? (value === undefined ? undefined : expand(value, globals));
      if (found !== undefined) globals.set(name, found);
    }
  }
  return globals;
}

/** Errors say which line of the Dockerfile they are about. */
async function atLine<T>(line: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DockerfileError) throw error;
    if (error instanceof ImageError) {
      throw new ImageError(error.kind, `Dockerfile line ${line}: ${error.message}`, { cause: error.cause });
    }
    if (error instanceof ExpansionError || error instanceof Error) throw new DockerfileError(line, error.message);
    throw error;
  }
}
