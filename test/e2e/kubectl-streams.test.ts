// What kubectl does with pods that run, over each of its protocols: terminals and their sizes, attach, copies of directories,
// forwarded ports, debug containers and nodes, usage. 1.27 and 1.28 speak SPDY, 1.29 its version 5, 1.30 WebSockets but for
// port-forward, later ones nothing else. SAMPAN_KUBECTL as in test/kubectl/sessions.ts.
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubectls } from '../kubectls.ts';
import { TestCluster, TestHost } from './harness.ts';
import { httpGet } from './observe.ts';

const asked = process.env['SAMPAN_KUBECTL'];
const binaries = kubectls().filter(([version], index, all) =>
  asked && asked !== 'every'
    ? asked.split(',').includes(version)
    : asked === 'every' || ['1.28', '1.29', '1.30'].includes(version) || index === all.length - 1,
);

let host: TestHost;
let cluster: TestCluster;
let environment: Record<string, string>;
let pod: string;

beforeAll(async () => {
  host = new TestHost('streams');
  cluster = new TestCluster(host);
  await cluster.start();
  await cluster.buildTools();
  environment = { KUBECONFIG: join(host.dataDir, 'kubeconfig'), HOME: host.dir };
  await cluster.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: localhost/tools:1
        command: [sh, -c, "mkdir -p /www /tmp; hostname > /www/index.html; exec httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
`);
  await cluster.must('rollout', 'status', 'deployment/web', '--timeout=60s');
  pod = await cluster.must('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');
}, 120_000);
afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

describe.each(binaries)('kubectl %s', (version, binary) => {
  const suffix = version.replaceAll('.', '-');
  const run = (...args: string[]) => cluster.kubectlWith({ binary }, ...args);
  const must = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args);
    if (code !== 0)
      throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}\n${cluster.logs()}`);
    return stdout;
  };
  /** What does not differ between protocols is enough once. */
  const once = (title: string, work: () => Promise<void>) => {
    if (asked || version === binaries.at(-1)?.[0]) test(title, work);
  };
  /** A shell line on a terminal of its own, `$K` being this kubectl. */
  const onTerminal = (line: string, input = '') =>
    host.run(['timeout', '40', 'script', '-qec', line, '/dev/null'], { env: { ...environment, K: binary }, input });

  test('exec has a terminal that follows the size of its own', async () => {
    // The first size comes a moment after the start.
    const remote =
      'while [ -z "$first" ]; do usleep 50000; first=$(stty size 2>/dev/null); done; echo first $first; while [ "$(stty size)" = "$first" ]; do usleep 50000; done; echo then $(stty size)';
    writeFileSync(
      join(host.dir, `resize-${suffix}.sh`),
      `stty rows 33 cols 101
terminal=$(tty)
(while :; do sleep 0.4; stty rows 40 cols 120 <$terminal; sleep 0.4; stty rows 33 cols 101 <$terminal; done) &
turning=$!
$K exec -it ${pod} -- sh -c '${remote}'
kill $turning
`,
    );
    const { stdout } = await onTerminal(`sh ./resize-${suffix}.sh`);
    expect(stdout).toMatch(/first (33 101|40 120)\r\n/);
    expect(stdout).toMatch(/then (33 101|40 120)\r\n/);
  });

  test('run has a terminal, passes what is typed, and takes its pod away', async () => {
    const name = `tmp-${suffix}`;
    const typed = await onTerminal(
      `$K run ${name} --image=localhost/tools:1 -it --rm --restart=Never -- sh -c 'read it; test -t 0 && echo got $it'`,
      'typed\n',
    );
    expect(typed.stdout).toMatch(/got typed\r\n/);
    expect(typed.stdout).toContain(`pod "${name}" deleted`);
    const piped = await cluster.kubectlWith(
      { binary, input: 'over' },
      ...['run', `piped-${suffix}`, '--image=localhost/tools:1', '-i', '--rm', '--restart=Never', '-q', '--', 'cat'],
    );
    expect(piped.stdout).toMatch(/^over(pod "piped-\S+" deleted.*\n)?$/);
    const failed = await run(
      'run',
      `fails-${suffix}`,
      '--image=localhost/tools:1',
      '--attach',
      '--rm',
      '--restart=Never',
      '--',
      'sh',
      '-c',
      'usleep 300000; exit 3',
    );
    expect(failed.code).toBe(3);
  });

  test('attach joins a shell that runs', async () => {
    const name = `shell-${suffix}`;
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers: [{ name: c, image: "localhost/tools:1", command: [sh], stdin: true, tty: true }]
`);
    await must('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s');
    const { stdout } = await onTerminal(`$K attach -it ${name}`, 'echo sum $((40 + 2))\nexit 0\n');
    expect(stdout).toContain('sum 42');
    await must('wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=30s');
    await must('delete', 'pod', name);
  });

  test('cp carries directories both ways and says what is not there', async () => {
    const local = join(host.dir, `local-${suffix}`);
    mkdirSync(join(local, 'deep'), { recursive: true });
    writeFileSync(join(local, 'deep/file'), version);
    writeFileSync(join(local, 'large'), Buffer.alloc(3_000_000, version));
    symlinkSync('deep/file', join(local, 'link'));
    await must('cp', local, `${pod}:/tmp/there-${suffix}`);
    expect(await must('exec', pod, '--', 'cat', `/tmp/there-${suffix}/deep/file`)).toBe(version);
    const back = join(host.dir, `back-${suffix}`);
    await must('cp', '-c', 'c', `default/${pod}:/tmp/there-${suffix}`, back);
    expect(readFileSync(join(back, 'deep/file'), 'utf8')).toBe(version);
    expect(readFileSync(join(back, 'large')).equals(Buffer.alloc(3_000_000, version))).toBe(true);
    const nowhere = await run('cp', join(local, 'large'), `${pod}:/no/such/directory/file`);
    expect(nowhere.code).not.toBe(0);
    expect((await run('cp', join(host.dir, 'nosuch'), `${pod}:/tmp/x`)).stderr).toContain('local filesystem');
    await run('cp', `${pod}:/no/such`, join(host.dir, `nosuch-${suffix}`));
    expect(existsSync(join(host.dir, `nosuch-${suffix}`))).toBe(false);
  });

  test('port-forward reaches pods, services and deployments', async () => {
    for (const [target, port] of [
      [`pod/${pod}`, 8080],
      ['service/web', 80],
      ['deployment/web', 8080],
    ] as const) {
      const child = host.spawn(
        [
          'env',
          ...Object.entries(environment).map(([key, value]) => `${key}=${value}`),
          binary,
          'port-forward',
          target,
          `:${port}`,
        ],
        `forward-${suffix}.log`,
      );
      const ended = new Promise<void>((done) => child.once('exit', () => done()));
      try {
        const address = await new Promise<string>((done, fail) => {
          child.stdout?.on('data', (chunk: Buffer) => {
            const [, found] = /Forwarding from (127\.0\.0\.1:\d+) -> 8080/.exec(chunk.toString()) ?? [];
            if (found) done(found);
          });
          void ended.then(() => fail(new Error(`port-forward ${target} ended`)));
        });
        for (let times = 0; times < 3; times++)
          expect(await httpGet(host, `http://${address}/index.html`), target).toBe(`${pod}\n`);
      } finally {
        child.kill('SIGTERM');
        await ended;
      }
    }
  });

  once('debug adds a container, copies a pod, and enters the node', async () => {
    const image = '--image=localhost/tools:1';
    await must('debug', pod, image, '--target=c', '-c', `eph-${suffix}`, '--attach=false', '--', 'sh', '-c', 'ps');
    await expect
      .poll(async () => (await run('logs', pod, '-c', `eph-${suffix}`)).stdout, { timeout: 30_000 })
      .toMatch(/1 0 +httpd/);

    const copy = `copy-${suffix}`;
    await must(
      'debug',
      pod,
      `--copy-to=${copy}`,
      image,
      '--share-processes',
      '-c',
      'dbg',
      '--attach=false',
      '--',
      'sh',
      '-c',
      'until ps | grep -q [h]ttpd; do usleep 100000; done; echo seen; sleep 3600',
    );
    await must('wait', '--for=condition=Ready', `pod/${copy}`, '--timeout=30s');
    await expect.poll(async () => (await run('logs', copy, '-c', 'dbg')).stdout, { timeout: 30_000 }).toBe('seen\n');
    await must('delete', 'pod', copy, '--grace-period=0', '--force');

    // `baseline` and `restricted` do not get the node's files; `netadmin` gets its network alone.
    const profiles: [name: string, seesHost: boolean, sharesNetwork: boolean, since: number][] = [
      ['general', true, true, 27],
      ['baseline', false, false, 27],
      ['netadmin', false, true, 27],
      ['sysadmin', true, true, 30],
    ];
    const minor = Number(version.split('.')[1] ?? 99);
    await Promise.all(
      profiles
        .filter(([, , , since]) => minor >= since)
        .map(async ([profile, seesHost, sharesNetwork]) => {
          const said = await must(
            'debug',
            'node/node-1',
            image,
            `--profile=${profile}`,
            '--attach=false',
            '--',
            'sh',
            '-c',
            'test -d /host/etc && echo files; ip -o addr | grep -q sampan0 && echo network; echo end',
          );
          const [, name = ''] =
            /Creating debugging pod (\S+) with container debugger on node node-1\.\n/.exec(said) ?? [];
          await must('wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=30s');
          expect(await must('logs', name), profile).toBe(
            `${seesHost ? 'files\n' : ''}${sharesNetwork ? 'network\n' : ''}end\n`,
          );
          await must('delete', 'pod', name);
        }),
    );
  });

  once('top sums up', async () => {
    const shown = (...what: string[]) =>
      expect.poll(async () => (await run('top', ...what)).stdout, { timeout: 40_000 });
    await shown('pod', pod, '--containers').toMatch(
      new RegExp(`^POD +NAME +CPU\\(cores\\) +MEMORY\\(bytes\\) *\\n${pod} +c +\\d+m +\\d+Mi`),
    );
    expect(await must('top', 'pod', '--sum', '-l', 'app=web')).toMatch(/ +_+ +_+ *\n +\d+m +\d+Mi *\n$/);
    expect(await must('top', 'node')).toMatch(/^NAME +CPU\(cores\) .*\nnode-1 +\d+m +\d+% +\d+Mi +\d+%/);
  });

  once('cluster-info dump holds the logs of every container', async () => {
    const directory = join(host.dir, `dump-${suffix}`);
    await must('cluster-info', 'dump', `--output-directory=${directory}`);
    expect(readFileSync(join(directory, 'nodes.json'), 'utf8')).toContain('"kind": "NodeList"');
    expect(existsSync(join(directory, 'default', pod, 'logs.txt'))).toBe(true);
  });
});
