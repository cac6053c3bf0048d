// A Dockerfile as stages, each a list of steps with their line numbers. What is not supported is refused here, by line.
import {
  DockerfileParser,
  type Instruction,
  type ModifiableInstruction,
  type PropertyInstruction,
} from 'dockerfile-ast';
import { ImageError } from '../errors.ts';

export class DockerfileError extends ImageError {
  /** 1-based. */
  readonly line: number;
  constructor(line: number, message: string) {
    super('invalid', `Dockerfile line ${line}: ${message}`);
    this.line = line;
  }
}

export type Command = { form: 'exec'; args: string[] } | { form: 'shell'; text: string };

/** A file that is written in the Dockerfile itself. */
export interface Heredoc {
  name: string;
  content: string;
  /** False when its delimiter is quoted. */
  isExpanded: boolean;
}

export interface HealthCheck {
  /** `none` takes a base image's check away. */
  command: Command | 'none';
  /** As written: `--interval=5s`. */
  options: Record<string, string>;
}

export type Step = { line: number; text: string } & (
  | { kind: 'arg'; args: { name: string; value: string | undefined }[] }
  | {
      kind: 'copy';
      add: boolean;
      /** A stage or an image, for COPY --from. */
      from: string | undefined;
      sources: string[];
      heredocs: Heredoc[];
      destination: string;
      chown: string | undefined;
      chmod: string | undefined;
      /** Of a URL: `sha256:…`. */
      checksum: string | undefined;
    }
  | {
      kind: 'run';
      command: Command;
      /** A program in the Dockerfile that starts with `#!`. */
      script: string | undefined;
      network: string | undefined;
    }
  | { kind: 'cmd' | 'entrypoint'; command: Command }
  | { kind: 'env' | 'label'; pairs: { name: string; value: string }[] }
  | { kind: 'workdir'; value: string }
  | { kind: 'user' | 'stopsignal' | 'maintainer' | 'onbuild'; value: string }
  | { kind: 'expose' | 'volume'; values: string[] }
  | { kind: 'shell'; args: string[] }
  | { kind: 'healthcheck'; check: HealthCheck }
);

export interface Stage {
  /** From 0. */
  index: number;
  /** Lower case; stages are named in any case. */
  name: string | undefined;
  line: number;
  text: string;
  /** Image or earlier stage, before variables are replaced. */
  base: string;
  platform: string | undefined;
  steps: Step[];
}

export interface Dockerfile {
  /** ARG before the first FROM: for FROM lines, and for stages that declare them again. */
  args: (Step & { kind: 'arg' })[];
  stages: Stage[];
}

/** Throws DockerfileError. */
export function parseDockerfile(text: string): Dockerfile {
  const file: Dockerfile = { args: [], stages: [] };
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    const stage = file.stages.at(-1);
    if (instruction.getKeyword() === 'FROM') {
      file.stages.push(stageOf(instruction, file.stages.length));
      continue;
    }
    const step = stepOf(instruction, text);
    if (stage) stage.steps.push(step);
    else if (step.kind === 'arg') file.args.push(step);
    else throw new DockerfileError(step.line, `${step.text.split(' ')[0]} before FROM`);
  }
  if (file.stages.length === 0) throw new DockerfileError(1, 'no FROM instruction');
  return file;
}

/** What a base image has written down for its children (ONBUILD). `line` is that of the FROM. Throws DockerfileError. */
export function parseTrigger(trigger: string, line: number): Step[] {
  return parseDockerfile(`FROM scratch\n${trigger}`).stages.flatMap((stage) =>
    stage.steps.map((step) => ({ ...step, line })),
  );
}

function stageOf(instruction: Instruction, index: number): Stage {
  const { line, content, flags, fail, refuseFlags } = read(instruction);
  refuseFlags(['platform']);
  const [base, as, name, ...more] = instruction.getArguments().map((argument) => argument.getValue());
  const isNamed = as !== undefined;
  if (!base || more.length > 0 || (isNamed && (as.toUpperCase() !== 'AS' || !name))) {
    throw fail('FROM takes an image, and optionally AS a name');
  }
  if (name && !/^[a-z][a-z0-9-_.]*$/i.test(name)) throw fail(`"${name}" is not a name of a stage`);
  return {
    index,
    name: name?.toLowerCase(),
    line,
    text: `FROM ${content}`,
    base,
    platform: flags['platform'],
    steps: [],
  };
}

function read(instruction: Instruction) {
  const keyword = instruction.getKeyword();
  const line = instruction.getRange().start.line + 1;
  const content = (instruction.getArgumentsContent() ?? '').trim();
  const fail = (message: string) => new DockerfileError(line, message);
  const list = 'getFlags' in instruction ? (instruction as unknown as ModifiableInstruction).getFlags() : [];
  const flags: Record<string, string> = Object.fromEntries(list.map((flag) => [flag.getName(), flag.getValue() ?? '']));
  const refuseFlags = (allowed: readonly string[] = []) => {
    for (const name of Object.keys(flags)) {
      if (!allowed.includes(name)) throw fail(`${keyword} --${name} is not supported`);
    }
  };
  return { keyword, line, content, flags, fail, refuseFlags };
}

function stepOf(instruction: Instruction, document: string): Step {
  const { keyword, line, content, flags, fail, refuseFlags } = read(instruction);
  const at = { line, text: `${keyword} ${content.split('\n', 1)[0]}`.trim() };
  const args = instruction.getArguments().map((argument) => argument.getValue());
  if (content === '') throw fail(`${keyword} needs arguments`);
  switch (keyword) {
    case 'ARG':
      return { ...at, kind: 'arg', args: argsDeclared(content, fail) };
    case 'COPY':
    case 'ADD': {
      refuseFlags(keyword === 'COPY' ? ['chown', 'chmod', 'from', 'link'] : ['chown', 'chmod', 'checksum', 'link']);
      const heredocs = heredocsOf(instruction, document);
      const [first = ''] = content.split('\n', 1);
      const words = heredocs.length > 0 ? first.split(/\s+/).filter((word) => !word.startsWith('<<')) : args;
      const paths = jsonStrings(content) ?? words;
      if (paths.length + heredocs.length < 2) throw fail(`${keyword} needs at least one source and a destination`);
      return {
        ...at,
        kind: 'copy',
        add: keyword === 'ADD',
        from: flags['from'],
        sources: paths.slice(0, -1),
        heredocs,
        destination: paths.at(-1) as string,
        chown: flags['chown'],
        chmod: flags['chmod'],
        checksum: flags['checksum'],
      };
    }
    case 'RUN': {
      if ('mount' in flags)
        throw fail('RUN --mount is not supported: COPY what the command needs, or use another stage');
      refuseFlags(['network']);
      return {
        ...at,
        kind: 'run',
        ...programOf(content, heredocsOf(instruction, document)),
        network: flags['network'],
      };
    }
    case 'CMD':
    case 'ENTRYPOINT':
      return { ...at, kind: keyword === 'CMD' ? 'cmd' : 'entrypoint', command: commandOf(content) };
    case 'ENV':
    case 'LABEL': {
      const pairs = (instruction as PropertyInstruction)
        .getProperties()
        .map((property) => ({ name: property.getName(), value: property.getValue() ?? '' }));
      const nameless = pairs.some((pair) => pair.name === '') || pairs.length === 0;
      if (nameless) throw fail(`${keyword} takes name=value pairs`);
      return { ...at, kind: keyword === 'ENV' ? 'env' : 'label', pairs };
    }
    case 'WORKDIR':
      return { ...at, kind: 'workdir', value: unquote(content) };
    case 'MAINTAINER':
      return { ...at, kind: 'maintainer', value: unquote(content) };
    case 'USER':
    case 'STOPSIGNAL':
      if (args.length !== 1) throw fail(`${keyword} takes one argument`);
      return { ...at, kind: keyword === 'USER' ? 'user' : 'stopsignal', value: content };
    case 'EXPOSE':
      return { ...at, kind: 'expose', values: args };
    case 'VOLUME':
      return { ...at, kind: 'volume', values: jsonStrings(content) ?? args };
    case 'SHELL': {
      const shell = jsonStrings(content);
      if (!shell?.length) throw fail('SHELL takes a JSON array of strings');
      return { ...at, kind: 'shell', args: shell };
    }
    case 'ONBUILD': {
      const trigger = content.replace(/^\s*#.*\n/gm, '');
      const word = /^\w+/.exec(trigger)?.[0].toUpperCase() ?? '';
      if (['ONBUILD', 'FROM', 'MAINTAINER', ''].includes(word))
        throw fail(`${word} isn't allowed as an ONBUILD trigger`);
      // Checked now: it is the author's mistake, not that of whoever builds on the image.
      parseTrigger(trigger, line);
      return { ...at, kind: 'onbuild', value: trigger };
    }
    case 'HEALTHCHECK': {
      refuseFlags(['interval', 'timeout', 'start-period', 'start-interval', 'retries']);
      const [, word = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(content) ?? [];
      if (word.toUpperCase() === 'NONE' && rest === '')
        return { ...at, kind: 'healthcheck', check: { command: 'none', options: {} } };
      if (word.toUpperCase() !== 'CMD' || rest === '') throw fail('HEALTHCHECK takes NONE, or CMD and a command');
      return { ...at, kind: 'healthcheck', check: { command: commandOf(rest), options: flags } };
    }
    default:
      throw fail(`unknown instruction ${keyword}`);
  }
}

function argsDeclared(content: string, fail: (message: string) => Error) {
  const words = content.match(/(?:"(?:\\.|[^"])*"|'[^']*'|\\.|\S)+/gs) ?? [];
  return words.map((word) => {
    const [, name, value] = /^(\w+)(?:=(.*))?$/s.exec(word) ?? [];
    if (!name) throw fail('ARG takes names, optionally with =default');
    return { name, value: value === undefined ? undefined : unquote(value) };
  });
}

interface AstHeredoc {
  getName(): string;
  getStartRange(): { start: { line: number; character: number }; end: { line: number; character: number } };
  getDelimiterRange(): { start: { line: number } } | null;
}

function heredocsOf(instruction: Instruction, document: string): Heredoc[] {
  const found =
    'getHeredocs' in instruction ? (instruction as unknown as { getHeredocs(): AstHeredoc[] }).getHeredocs() : [];
  const lines = document.split('\n');
  return found.map((each) => {
    const { start, end } = each.getStartRange();
    const opening = (lines[start.line] as string).slice(start.character, end.character);
    const last = each.getDelimiterRange()?.start.line;
    if (last === undefined) throw new DockerfileError(start.line + 1, `the here-document ${each.getName()} has no end`);
    const first = bodyStart(found, each);
    const body = lines.slice(first, last).map((line) => (opening.includes('<<-') ? line.replace(/^\t+/, '') : line));
    return {
      name: each.getName(),
      content: body.map((line) => `${line}\n`).join(''),
      isExpanded: !/["']/.test(opening),
    };
  });
}

/** Bodies follow each other: the first after the instruction's line, each other after the delimiter of the one before. */
function bodyStart(all: readonly AstHeredoc[], one: AstHeredoc): number {
  const before = all[all.indexOf(one) - 1];
  const end = before ? before.getDelimiterRange()?.start.line : one.getStartRange().start.line;
  return (end ?? 0) + 1;
}

/** `RUN <<EOF` runs the here-document itself; beside other words it is the shell's affair. */
function programOf(content: string, heredocs: readonly Heredoc[]): { command: Command; script: string | undefined } {
  const [only] = heredocs;
  const [first = ''] = content.split('\n', 1);
  if (!only || heredocs.length > 1 || !/^<<-?\s*["']?\w+["']?\s*$/.test(first)) {
    return { command: commandOf(content), script: undefined };
  }
  const script = only.content.startsWith('#!') ? only.content : undefined;
  return { command: { form: 'shell', text: only.content }, script };
}

function commandOf(content: string): Command {
  const args = jsonStrings(content);
  return args ? { form: 'exec', args } : { form: 'shell', text: content };
}

/** The strings of a JSON array, or undefined when it is not one (then it is the shell form). */
function jsonStrings(content: string): string[] | undefined {
  if (!content.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(content);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value as string[];
  } catch {
    // `[ -f x ] && y` is a shell command.
  }
  return undefined;
}

function unquote(text: string): string {
  return /^(["']).*\1$/s.test(text) ? text.slice(1, -1) : text;
}
