// The state directory: what was asked for (`spec.json`, written before anything is made) and what has become of it
// (`handle.json` of a sandbox, the shim's `facts` of a container). Whatever has a spec and no fact is half-made.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ContainerSpec, SandboxHandle, SandboxSpec } from './port.ts';
import { parseFacts, printFacts, type ShimFacts } from './shim.ts';

export interface SandboxRecord {
  spec: SandboxSpec;
  /** The pod's address, reserved from here on. */
  ip: string | undefined;
}

const ID = /^[a-z0-9][a-z0-9._-]{0,127}$/i;

export class StateDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    for (const each of [path, `${path}/sandboxes`, `${path}/containers`])
      mkdirSync(each, { recursive: true, mode: 0o700 });
  }

  sandboxDirectory = (id: string) => `${this.path}/sandboxes/${check(id)}`;
  containerDirectory = (id: string) => `${this.path}/containers/${check(id)}`;

  writeSandbox(record: SandboxRecord): void {
    mkdirSync(this.sandboxDirectory(record.spec.id), { recursive: true, mode: 0o700 });
    write(`${this.sandboxDirectory(record.spec.id)}/spec.json`, JSON.stringify(record));
  }

  sandbox = (id: string) => read<SandboxRecord>(`${this.sandboxDirectory(id)}/spec.json`);
  writeHandle = (handle: SandboxHandle) =>
    write(`${this.sandboxDirectory(handle.id)}/handle.json`, JSON.stringify(handle));
  handle = (id: string) => read<SandboxHandle>(`${this.sandboxDirectory(id)}/handle.json`);
  removeSandbox = (id: string) => rmSync(this.sandboxDirectory(id), { recursive: true, force: true });
  sandboxIds = () => readdirSync(`${this.path}/sandboxes`);

  writeContainer(spec: ContainerSpec): void {
    mkdirSync(this.containerDirectory(spec.id), { recursive: true, mode: 0o700 });
    write(`${this.containerDirectory(spec.id)}/spec.json`, JSON.stringify(spec));
  }

  container = (id: string) => read<ContainerSpec>(`${this.containerDirectory(id)}/spec.json`);
  removeContainer = (id: string) => rmSync(this.containerDirectory(id), { recursive: true, force: true });
  containerIds = () => readdirSync(`${this.path}/containers`);

  facts(id: string): ShimFacts | undefined {
    try {
      return parseFacts(readFileSync(`${this.containerDirectory(id)}/facts`, 'utf8'));
    } catch {
      return undefined;
    }
  }

  /** Only for a container whose shim is gone: it can no longer write them itself. */
  writeFacts = (id: string, facts: ShimFacts) => write(`${this.containerDirectory(id)}/facts`, printFacts(facts));

  /** Whether a container's exit has been told to the runtime. */
  isExitTold = (id: string) => existsSync(`${this.containerDirectory(id)}/told`);
  exitTold(id: string): void {
    try {
      writeFileSync(`${this.containerDirectory(id)}/told`, '');
    } catch {
      // Removed meanwhile.
    }
  }
}

function check(id: string): string {
  if (!ID.test(id)) throw new Error(`"${id}" is not an id`);
  return id;
}

/** Whole or not at all; not synced, because after a loss of power there is nothing left to describe. */
function write(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function read<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}
