// sampan exec: the WebSocket exec protocol v5.channel.k8s.io: each message's first byte is its channel.
import { WebSocket } from 'ws';
import type { Status } from '../../api/types/meta.ts';
import { refs } from '../../client/refs.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Session } from '../session.ts';
import { UserError } from '../user-error.ts';
import { defaultContainer } from './logs.ts';

export interface ExecOptions {
  container?: string;
  stdin?: boolean;
  tty?: boolean;
}

export interface Terminal {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** Resolves with the command's exit code. */
export async function exec(
  session: Session,
  name: string,
  command: readonly string[],
  options: ExecOptions,
  terminal: Terminal,
): Promise<number> {
  const pod = await session.client.resource<Pod>(refs.pods, session.namespace).get(name.replace(/^pods?\//, ''));
  const query = new URLSearchParams({ container: options.container ?? defaultContainer(pod), stdout: 'true' });
  for (const word of command) query.append('command', word);
  if (options.stdin) query.set('stdin', 'true');
  if (options.tty) query.set('tty', 'true');
  else query.set('stderr', 'true');
  const { config } = session.client;
  const url = `${config.server.replace(/^http/, 'ws')}/api/v1/namespaces/${session.namespace}/pods/${pod.metadata.name}/exec?${query}`;
  const socket = new WebSocket(url, ['v5.channel.k8s.io'], {
    ca: config.caPem,
    cert: config.certificatePem,
    key: config.keyPem,
    rejectUnauthorized: !config.insecure,
    ...(config.token && { headers: { authorization: `Bearer ${config.token}` } }),
  });
  return run(socket, options, terminal);
}

function run(socket: WebSocket, options: ExecOptions, { stdin, stdout, stderr }: Terminal): Promise<number> {
  return new Promise((resolve, reject) => {
    const send = (channel: number, data: Uint8Array) => socket.send(Buffer.concat([Buffer.of(channel), data]));
    const onInput = (chunk: Buffer) => send(CHANNEL.stdin, chunk);
    const onInputEnd = () => send(CHANNEL.close, Buffer.of(CHANNEL.stdin));
    const onResize = () =>
      send(CHANNEL.resize, Buffer.from(JSON.stringify({ Width: stdout.columns, Height: stdout.rows })));
    const raw = options.tty && options.stdin && stdin.isTTY;
    let outcome: number | undefined;
    const restore = () => {
      if (raw) stdin.setRawMode(false);
      stdin.off('data', onInput).off('end', onInputEnd).pause();
      stdout.off('resize', onResize);
    };
    socket.on('open', () => {
      if (raw) stdin.setRawMode(true);
      if (options.stdin) stdin.on('data', onInput).on('end', onInputEnd);
      if (options.tty && stdout.isTTY) {
        onResize();
        stdout.on('resize', onResize);
      }
    });
    socket.on('message', (message: Buffer) => {
      const payload = message.subarray(1);
      if (message[0] === CHANNEL.stdout) stdout.write(payload);
      else if (message[0] === CHANNEL.stderr) stderr.write(payload);
      else if (message[0] === CHANNEL.error) {
        try {
          outcome = exitCodeOf(JSON.parse(payload.toString()) as Status);
        } catch (error) {
          restore();
          reject(error);
        }
      }
    });
    socket.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () =>
        reject(new UserError(`Error from server: ${statusMessage(body) || response.statusCode}`)),
      );
    });
    socket.on('error', (error) => {
      restore();
      reject(new UserError(`exec failed: ${error.message}`));
    });
    socket.on('close', () => {
      restore();
      if (outcome === undefined) reject(new UserError('exec ended without telling an exit code'));
      else resolve(outcome);
    });
  });
}

function exitCodeOf(status: Status): number {
  if (status.status === 'Success') return 0;
  const cause = status.details?.causes?.find((each) => each.reason === 'ExitCode');
  if (status.reason === 'NonZeroExitCode' && cause) return Number(cause.message);
  throw new UserError(`error executing command: ${status.message ?? 'unknown failure'}`);
}

function statusMessage(body: string): string {
  try {
    return (JSON.parse(body) as Status).message ?? '';
  } catch {
    return body.trim();
  }
}
