// What a run may leave behind on a host, before and after: processes of ours, mounts, network namespaces, links, nft
// tables, cgroups. A test takes one picture first and compares at its end.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface HostPicture {
  processes: string[];
  mounts: string[];
  networkNamespaces: string[];
  links: string[];
  nftTables: string[];
  cgroups: string[];
}

/** `mentions`: only mounts, processes and cgroups that carry one of these texts are ours. */
export function takePicture(mentions: readonly string[]): HostPicture {
  const ours = (text: string) => mentions.some((each) => text.includes(each));
  return {
    processes: processes().filter(ours),
    mounts: readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(ours),
    // Named namespaces are made by tests only (other tests run meanwhile); a sandbox's is a mount below its state directory.
    networkNamespaces: list('/run/netns').filter((name) => !/^(sampan-|sp\d)/.test(name)),
    links: run('ip', ['-brief', 'link']).map((line) => line.split(/[\s@]/)[0] ?? ''),
    nftTables: run('nft', ['list', 'tables']),
    cgroups: cgroups().filter(ours),
  };
}

/** What is in `after` and was not in `before`. All lists empty: nothing leaked. */
export function leaked(before: HostPicture, after: HostPicture): Partial<HostPicture> {
  const difference: Partial<HostPicture> = {};
  for (const key of Object.keys(after) as (keyof HostPicture)[]) {
    const extra = after[key].filter((each) => !before[key].includes(each));
    if (extra.length > 0) difference[key] = extra;
  }
  return difference;
}

/** Command lines of live processes; zombies have ended and wait for PID 1. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        if (!command) return [];
        return [`${pid} ${command} cwd=${readlinkSync(`/proc/${pid}/cwd`)}`];
      } catch {
        return [];
      }
    });
}

function cgroups(): string[] {
  const found: string[] = [];
  const visit = (directory: string, depth: number) => {
    for (const name of list(directory)) {
      const path = join(directory, name);
      found.push(path);
      if (depth > 0) visit(path, depth - 1);
    }
  };
  if (existsSync('/sys/fs/cgroup')) visit('/sys/fs/cgroup', 5);
  return found;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || directory === '/run/netns')
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function run(command: string, args: string[]): string[] {
  return execFileSync(command, args, { encoding: 'utf8' }).split('\n').filter(Boolean).toSorted();
}
