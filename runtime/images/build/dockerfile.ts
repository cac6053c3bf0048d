// A Dockerfile as a list of steps with their line numbers. What is not supported is refused here, by line.
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

export type Step = { line: number; text: string } & (
  | { kind: 'from'; image: string }
  | { kind: 'arg'; name: string; value: string | undefined }
  | {
      kind: 'copy';
      add: boolean;
      sources: string[];
      destination: string;
      chown: string | undefined;
      chmod: string | undefined;
    }
  | { kind: 'run'; command: Command }
  | { kind: 'cmd' | 'entrypoint'; command: Command }
  | { kind: 'env' | 'label'; pairs: { name: string; value: string }[] }
  | { kind: 'workdir' | 'user' | 'stopsignal'; value: string }
  | { kind: 'expose' | 'volume'; values: string[] }
);

const unsupported = ['ONBUILD', 'HEALTHCHECK', 'SHELL', 'MAINTAINER'];

export function parseDockerfile(text: string): Step[] {
  const parsed = DockerfileParser.parse(text);
  const steps: Step[] = [];
  for (const instruction of parsed.getInstructions()) steps.push(stepOf(instruction));
  const first = steps.find((step) => step.kind !== 'arg');
  if (!first) throw new DockerfileError(1, 'no FROM instruction');
  if (first.kind !== 'from') throw new DockerfileError(first.line, `${first.text.split(' ')[0]} before FROM`);
  const second = steps.filter((step) => step.kind === 'from')[1];
  if (second) throw new DockerfileError(second.line, 'builds of several stages are not supported');
  return steps;
}

function stepOf(instruction: Instruction): Step {
  const keyword = instruction.getKeyword();
  const line = instruction.getRange().start.line + 1;
  const content = (instruction.getArgumentsContent() ?? '').trim();
  const at = { line, text: `${keyword} ${content}`.trim() };
  const fail = (message: string) => new DockerfileError(line, message);
  const args = instruction.getArguments().map((argument) => argument.getValue());
  if (/<<-?["']?\w/.test(content) && ['RUN', 'COPY', 'ADD'].includes(keyword))
    throw fail('here-documents are not supported');
  if (unsupported.includes(keyword)) throw fail(`${keyword} is not supported`);
  if (content === '') throw fail(`${keyword} needs arguments`);
  const flags = flagsOf(instruction);
  const refuseFlags = (allowed: readonly string[] = []) => {
    for (const name of Object.keys(flags)) {
      if (!allowed.includes(name)) throw fail(`${keyword} --${name} is not supported`);
    }
  };
  switch (keyword) {
    case 'FROM':
      refuseFlags();
      if (args.length === 3 && args[1]?.toUpperCase() === 'AS')
        return { ...at, kind: 'from', image: args[0] as string };
      if (args.length !== 1) throw fail('FROM takes an image, and optionally AS a name');
      return { ...at, kind: 'from', image: args[0] as string };
    case 'ARG': {
      const [, name, value] = /^(\w+)(?:=(.*))?$/s.exec(content) ?? [];
      if (!name) throw fail('ARG takes one name, optionally with =default');
      return { ...at, kind: 'arg', name, value: value === undefined ? undefined : unquote(value) };
    }
    case 'COPY':
    case 'ADD': {
      refuseFlags(['chown', 'chmod']);
      const paths = jsonStrings(content) ?? args;
      if (paths.length < 2) throw fail(`${keyword} needs at least one source and a destination`);
      return {
        ...at,
        kind: 'copy',
        add: keyword === 'ADD',
        sources: paths.slice(0, -1),
        destination: paths.at(-1) as string,
        chown: flags['chown'],
        chmod: flags['chmod'],
      };
    }
    case 'RUN':
      refuseFlags();
      return { ...at, kind: 'run', command: commandOf(content) };
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
    case 'USER':
      if (args.length !== 1) throw fail('USER takes one argument');
      return { ...at, kind: 'user', value: content };
    case 'STOPSIGNAL':
      if (args.length !== 1) throw fail('STOPSIGNAL takes one argument');
      return { ...at, kind: 'stopsignal', value: content };
    case 'EXPOSE':
      return { ...at, kind: 'expose', values: args };
    case 'VOLUME':
      return { ...at, kind: 'volume', values: jsonStrings(content) ?? args };
    default:
      throw fail(`unknown instruction ${keyword}`);
  }
}

function flagsOf(instruction: Instruction): Record<string, string> {
  const flags = 'getFlags' in instruction ? (instruction as unknown as ModifiableInstruction).getFlags() : [];
  return Object.fromEntries(flags.map((flag) => [flag.getName(), flag.getValue() ?? '']));
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

/** Replaces $NAME, ${NAME}, ${NAME:-default} and ${NAME:+other}; `\$` stays a dollar. */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\\\$|\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})/g, (whole, plain, braced, operator, word) => {
    if (whole === '\\$') return '$';
    const value = variables.get((plain ?? braced) as string);
    if (operator === ':-') return value || expand(word as string, variables);
    if (operator === ':+') return value ? expand(word as string, variables) : '';
    return value ?? '';
  });
}
