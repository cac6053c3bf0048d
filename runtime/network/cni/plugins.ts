// Networks made by CNI plugins: ADD when a sandbox is made, DEL when it goes, CHECK and GC after a restart, STATUS when we
// are asked whether we are ready. What a plugin was told is kept beside the sandbox until its DEL has succeeded.
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../../lib/log.ts';
import {
  addressesOf,
  atLeast,
  type CniResult,
  loadNetworkList,
  type NetworkList,
  type PluginConfig,
  pluginInput,
  type RuntimeConfig,
} from './config.ts';

const IFNAME = 'eth0';
const TIMEOUT_MS = 90_000;

export interface CniOptions {
  confDir: string;
  binDirs: readonly string[];
  log: Logger;
  /** Runs a program; default spawns it. */
  run?: RunPlugin;
}

export type RunPlugin = (
  path: string,
  env: Record<string, string>,
  input: string,
) => Promise<{ code: number; stdout: string; stderr: string }>;

export interface Attachment {
  id: string;
  /** Of the namespace's mount; may be gone already when it is deleted. */
  netns: string;
  /** Where what was done is remembered, with the sandbox's other files. */
  directory: string;
  /** CNI_ARGS, such as K8S_POD_NAME. */
  args: Readonly<Record<string, string>>;
  runtime: RuntimeConfig;
}

interface Kept {
  list: NetworkList;
  attachment: Attachment;
  /** Absent while, or because, ADD has not succeeded. */
  result?: CniResult;
}

export class CniError extends Error {
  /** Of the specification; 50 and 51 are those of STATUS. */
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.name = 'CniError';
    this.code = code;
  }
}

export class CniNetwork {
  #options: CniOptions;

  constructor(options: CniOptions) {
    this.#options = options;
  }

  /** The pod's addresses. What fails is undone; what cannot be undone stays noted for `detach`. */
  async attach(attachment: Attachment): Promise<string[]> {
    const list = loadNetworkList(this.#options.confDir);
    if (!list)
      throw new CniError(`cni plugin not initialized: no network configuration in ${this.#options.confDir}`, 0);
    keep({ list, attachment });
    let result: CniResult | undefined;
    for (const plugin of list.plugins) {
      const answer = await this.#call('ADD', list, plugin, attachment, {
        prevResult: result,
        runtime: attachment.runtime,
      });
      result = JSON.parse(answer) as CniResult;
    }
    keep({ list, attachment, result: result as CniResult });
    return addressesOf(result as CniResult, IFNAME);
  }

  /** Succeeds when there is nothing to take away; throws when a plugin cannot take away what it has made. */
  async detach(directory: string): Promise<void> {
    const kept = read(directory);
    if (!kept) return;
    const { list, attachment, result } = kept;
    const prevResult = atLeast(list.cniVersion, '0.4.0') ? result : undefined;
    for (const plugin of [...list.plugins].reverse()) {
      try {
        await this.#call('DEL', list, plugin, attachment, { prevResult, runtime: attachment.runtime });
      } catch (error) {
        // What was never added may not be known to be deleted: a configuration that cannot be used fails both.
        if (result) throw error;
        this.#options.log.warn({ err: error, sandboxId: attachment.id }, 'undoing a network that was not made failed');
      }
    }
    rmSync(file(directory), { force: true });
  }

  /** What plugins say about sandboxes that are there, and about what they have of sandboxes that are not. Tells by the log. */
  async review(directories: readonly string[]): Promise<void> {
    const all = directories.flatMap((directory) => read(directory) ?? []);
    for (const { list, attachment, result } of all) {
      if (list.disableCheck || !atLeast(list.cniVersion, '0.4.0') || !result) continue;
      for (const plugin of list.plugins)
        await this.#call('CHECK', list, plugin, attachment, { prevResult: result, runtime: attachment.runtime }).catch(
          (error: unknown) =>
            this.#options.log.warn(
              { err: error, sandboxId: attachment.id },
              'the network of a sandbox is not as it was made',
            ),
        );
    }
    const list = this.#list();
    if (!list || list.disableGC || !atLeast(list.cniVersion, '1.1.0')) return;
    const attachments = all.map(({ attachment }) => ({ containerID: attachment.id, ifname: IFNAME }));
    for (const plugin of list.plugins)
      await this.#call('GC', list, plugin, undefined, { attachments }).catch((error: unknown) =>
        this.#options.log.warn({ err: error, plugin: plugin.type }, 'collecting what sandboxes have left failed'),
      );
  }

  /** Why no sandbox can have a network now; undefined: it can. */
  async obstacle(): Promise<string | undefined> {
    let list: NetworkList | undefined;
    try {
      list = loadNetworkList(this.#options.confDir);
    } catch (error) {
      return (error as Error).message;
    }
    if (!list) return 'cni plugin not initialized';
    for (const plugin of list.plugins) {
      if (!this.#find(plugin.type)) return `plugin ${plugin.type} is not in ${this.#options.binDirs.join(', ')}`;
      if (!atLeast(list.cniVersion, '1.1.0')) continue;
      try {
        await this.#call('STATUS', list, plugin, undefined, {});
      } catch (error) {
        return (error as Error).message;
      }
    }
    return undefined;
  }

  #list(): NetworkList | undefined {
    try {
      return loadNetworkList(this.#options.confDir);
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the network configuration cannot be used');
      return undefined;
    }
  }

  #find(type: string): string | undefined {
    return this.#options.binDirs.map((directory) => join(directory, type)).find(isExecutable);
  }

  async #call(
    command: 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS',
    list: NetworkList,
    plugin: PluginConfig,
    attachment: Attachment | undefined,
    more: Parameters<typeof pluginInput>[2],
  ): Promise<string> {
    const path = this.#find(plugin.type);
    if (!path)
      throw new CniError(`failed to find plugin "${plugin.type}" in path [${this.#options.binDirs.join(' ')}]`, 0);
    const env = {
      CNI_COMMAND: command,
      CNI_PATH: this.#options.binDirs.join(':'),
      PATH: process.env['PATH'] ?? '',
      ...(attachment && {
        CNI_CONTAINERID: attachment.id,
        CNI_NETNS: attachment.netns,
        CNI_IFNAME: IFNAME,
        CNI_ARGS: ['IgnoreUnknown=1', ...Object.entries(attachment.args).map(([key, value]) => `${key}=${value}`)].join(
          ';',
        ),
      }),
    };
    const run = this.#options.run ?? spawnPlugin;
    const { code, stdout, stderr } = await run(path, env, pluginInput(list, plugin, more));
    if (code === 0) return stdout;
    let told: { code?: number; msg?: string; details?: string } = {};
    try {
      told = JSON.parse(stdout) as typeof told;
    } catch {
      // Not every plugin that fails is able to say so.
    }
    const text = [told.msg ?? (stderr.trim() || `exit code ${code}`), told.details].filter(Boolean).join('; ');
    throw new CniError(`plugin type="${plugin.type}" failed (${command.toLowerCase()}): ${text}`, told.code ?? 0);
  }
}

const file = (directory: string) => join(directory, 'cni.json');

function keep(kept: Kept): void {
  const path = file(kept.attachment.directory);
  writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function read(directory: string): Kept | undefined {
  try {
    return JSON.parse(readFileSync(file(directory), 'utf8')) as Kept;
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const spawnPlugin: RunPlugin = (path, env, input) =>
  new Promise((resolve, reject) => {
    const child = spawn(path, [], { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({ code: code ?? 1, stdout, stderr: signal ? `killed by ${signal}` : stderr }),
    );
    child.stdin.on('error', () => undefined); // some read nothing
    child.stdin.end(input);
  });
