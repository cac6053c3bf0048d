// What critest asks of streaming, spec by spec, against the real launcher: exec, attach and port-forward over SPDY/3.1.
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SpdyStream } from '../../lib/spdy/connection.ts';
import { canLaunch, eventually } from '../launch/testing.ts';
import { type RealHarness, startRealHarness } from '../testing/real-harness.ts';
import { forwardTo, openChannels, openSpdy } from '../testing/spdy-client.ts';

describe.skipIf(!canLaunch)('CRI streaming', () => {
  let real: RealHarness;
  beforeAll(async () => {
    real = await startRealHarness();
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());
  const call: RealHarness['client']['call'] = (...args) => real.client.call(...args);

  it('supports exec with tty=false and stdin=false', async () => {
    const containerId = await real.runContainer(await real.runPod());
    const { url } = await call('Exec', { containerId, cmd: ['echo', '-n', 'hello'], stdout: true, stderr: true });
    const { streams } = await openChannels(url as string, ['error', 'stdout', 'stderr']);
    expect(await text(streams.stdout as SpdyStream)).toBe('hello');
    expect(await text(streams.stderr as SpdyStream)).toBe('');
    expect(JSON.parse(await text(streams.error as SpdyStream))).toMatchObject({ status: 'Success' });
  });

  it('supports exec with tty=true and stdin=true', async () => {
    const containerId = await real.runContainer(await real.runPod());
    const { url } = await call('Exec', { containerId, cmd: ['echo', 'hello'], stdout: true, stdin: true, tty: true });
    // The client keeps stdin open: the end of the process has to end the streams.
    const { connection, streams } = await openChannels(url as string, ['error', 'stdin', 'stdout', 'resize']);
    expect(await text(streams.stdout as SpdyStream)).toBe('hello\r\n');
    expect(JSON.parse(await text(streams.error as SpdyStream))).toMatchObject({ status: 'Success' });
    connection.close();
  });

  it('supports attach: what is typed reaches the shell, once, and its end ends it', async () => {
    const shell = { command: ['sh'], stdin: true, stdinOnce: true };
    const containerId = await real.runContainer(await real.runPod(), shell);
    const { url } = await call('Attach', { containerId, stdin: true, stdout: true, stderr: true });
    const { connection, streams } = await openChannels(url as string, ['error', 'stdin', 'stdout', 'stderr']);
    let heard = '';
    streams.stdout?.on('data', (data: Buffer) => {
      heard += data.toString();
    });
    streams.stdin?.write('echo hello\n');
    await eventually(() => heard === 'hello\n', 'the shell answers');
    streams.stdin?.end();
    expect(await real.exit(containerId)).toEqual({ exitCode: 0, reason: 'Completed' });
    expect(heard).toBe('hello\n');
    expect(await text(streams.stderr as SpdyStream)).toBe('');
    connection.close();
  });

  it.each(['POD', 'NODE'] as const)('supports portforward on the network %s', async (network) => {
    const linux = { securityContext: { namespaceOptions: { network } } };
    const podSandboxId = await real.runPod({ portMappings: [{ containerPort: 12_003 }], linux });
    const server = ['sh', '-c', 'while :; do echo page | nc -l -p 12003; done'];
    await real.runContainer(podSandboxId, { command: server });
    await eventually(async () => {
      const { url } = await call('PortForward', { podSandboxId });
      const connection = await openSpdy(url as string, 'portforward.k8s.io');
      const [error, data] = forwardTo(connection, 12_003);
      data.end();
      const answer = await text(data);
      error.destroy();
      connection.close();
      return answer === 'page\n';
    }, 'the page comes');
    const { url } = await call('PortForward', { podSandboxId });
    const connection = await openSpdy(url as string, 'portforward.k8s.io');
    const [error] = forwardTo(connection, 12_004);
    expect(await text(error)).toMatch(/refused/i);
    connection.close();
  });

  it('a URL is good for one use, and its server knows no other', async () => {
    const containerId = await real.runContainer(await real.runPod());
    const { url } = await call('Exec', { containerId, cmd: ['true'], stdout: true });
    const { streams } = await openChannels(url as string, ['error', 'stdout']);
    await text(streams.error as SpdyStream);
    await expect(openChannels(url as string, ['error', 'stdout'])).rejects.toThrow('404');
  });
});
