// The node as a child process of `sampan up`: started before its configuration is known, so that it loads meanwhile; given
// that over IPC; started again, with back-off, when it dies. Containers do not notice.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { KeyPair } from '../../apiserver/auth/pki.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Logger } from '../../lib/log.ts';
import type { KubeletSettings } from '../../kubelet/config.ts';
import type { Layout } from '../layout.ts';

/** What the node process is told. Keys travel over the IPC pipe only. */
export interface NodeConfig {
  dataDir: string;
  nodeName: string;
  nodeIp: string;
  server: string;
  caPem: string;
  kubelet: KeyPair;
  serving: KeyPair;
  proxy: KeyPair;
  podCidr: string;
  serviceCidr: string;
  bridge: string;
  cniConfDir: string | undefined;
  cniBinDir: readonly string[] | undefined;
  maxPods: number;
  kubeletPort: number;
  /** A file or directory of static pods. */
  staticPodPath: string | undefined;
  /** Of a KubeletConfiguration. */
  kubeletSettings: KubeletSettings;
  clusterDns: string | undefined;
  clusterDomain: string;
  cgroupRoot: string;
  logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export type ToNode = { type: 'start'; config: NodeConfig } | { type: 'stop' };
export type FromNode = { type: 'failed'; message: string };

export interface NodeProcess {
  start(config: NodeConfig): void;
  /** Rejects when the node cannot work at all and restarting would not help. */
  failed: Promise<never>;
  /** Ends the node's pods and then the node; resolves when its process is gone. */
  stop(): Promise<void>;
  /** Ends the process without touching pods: the start of the cluster failed. */
  abandon(): void;
}

export function superviseNode(options: { layout: Layout; logLevel: string; log: Logger }): NodeProcess {
  const { layout, log } = options;
  let config: NodeConfig | undefined;
  let stopping = false;
  let restarts = 0;
  let fail: (error: Error) => void;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  let child = launch();

  function launch(): ChildProcess {
    const output = openSync(`${layout.logDir}/node.log`, 'a', 0o600);
    // The same entry as ours: the bundle, or the sources.
    // A small young generation: what a node allocates lives shortly, and it is to be light.
    const flags = [...process.execArgv, '--max-semi-space-size=2'];
    const started = spawn(process.execPath, [...flags, process.argv[1] as string, 'node'], {
      // Its own session: a Ctrl-C at the terminal is ours to handle, in order.
      detached: true,
      stdio: ['ignore', output, output, 'ipc'],
    });
    closeSync(output);
    started.on('message', (message: FromNode) => {
      if (message.type === 'failed') fail(new Error(message.message));
    });
    started.on('error', (error) => fail(error));
    started.on('exit', (code, signal) => {
      if (stopping) return;
      restarts++;
      log.error({ code, signal, restarts }, 'the node process died, starting it again');
      setTimeout(
        () => {
          if (!stopping) child = launch();
        },
        backoffMs({ initialMs: 100, maxMs: 10_000 }, restarts, Math.random),
      );
    });
    if (config) started.send({ type: 'start', config } satisfies ToNode);
    return started;
  }

  return {
    failed,
    start(given) {
      config = given;
      if (child.connected) child.send({ type: 'start', config } satisfies ToNode);
    },
    stop() {
      stopping = true;
      if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
      return new Promise((resolve) => {
        child.once('exit', () => resolve());
        if (child.connected) child.send({ type: 'stop' } satisfies ToNode);
        else child.kill('SIGTERM');
      });
    },
    abandon() {
      stopping = true;
      child.kill('SIGKILL');
    },
  };
}
