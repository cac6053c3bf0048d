// The kinds of pods that the chaos test creates, and how each ends when it is left alone. Pure: a random source in, a Pod out.
import type { Container, Pod, PodSpec } from '../../api/types/core-v1.ts';
import type { Random } from '../../lib/clock.ts';

/**
 * What a pod comes to by itself. `running`: all its containers run and are ready. `crashing`: a container ends again and again.
 * `waiting`: it never starts, for the reason that its spec gives. A run that was cut short may fail instead of succeed.
 */
export type Ending =
  | { kind: 'running' }
  | { kind: 'succeeded' }
  | { kind: 'failed'; exitCode: number }
  | { kind: 'crashing' }
  | { kind: 'waiting' };

export interface Shape {
  name: string;
  ending: Ending;
  spec(random: Random, serial: number): PodSpec;
}

export const IMAGE = 'localhost/tools:1';
export const OTHER_IMAGE = 'localhost/tools:2';
/** Secret and ConfigMap that every namespace of the test has. */
export const SETTINGS = 'settings';

const container = (name: string, script: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: IMAGE,
  command: ['sh', '-c', script],
  ...rest,
});

/** Says its name, then lives until SIGTERM, and obeys it. */
const polite = `echo "$HOSTNAME started"; trap 'echo bye; exit 0' TERM; while :; do sleep 1000 & wait $!; done`;
/** Says its name, then lives; as process 1 it never hears SIGTERM. */
const deaf = 'echo "$HOSTNAME started"; exec sleep 100000';

const pod = (containers: Container[], rest: Partial<PodSpec> = {}): PodSpec => ({
  terminationGracePeriodSeconds: 1,
  enableServiceLinks: false,
  containers,
  ...rest,
});

const running: Ending = { kind: 'running' };
const succeeded: Ending = { kind: 'succeeded' };

export const shapes: readonly Shape[] = [
  { name: 'plain', ending: running, spec: () => pod([container('c', polite)]) },
  { name: 'deaf', ending: running, spec: () => pod([container('c', deaf)]) },
  {
    name: 'three',
    ending: running,
    spec: () => pod([container('a', polite), container('b', deaf), container('c', polite)]),
  },
  {
    name: 'init',
    ending: running,
    spec: (random) =>
      pod([container('c', `test "$(cat /work/first)$(cat /work/second)" = onetwo && ${polite}`, mounts('/work'))], {
        initContainers: [
          container('first', 'echo one > /work/first', mounts('/work')),
          container('second', `sleep 0.${pick(random, 9)}; echo two > /work/second`, mounts('/work')),
        ],
        volumes: [{ name: 'work', emptyDir: {} }],
      }),
  },
  {
    name: 'sidecar',
    ending: running,
    spec: () =>
      pod([container('c', polite)], { initContainers: [container('proxy', polite, { restartPolicy: 'Always' })] }),
  },
  {
    name: 'sidecar-of-a-run',
    ending: succeeded,
    spec: () =>
      pod([container('c', 'echo done')], {
        restartPolicy: 'Never',
        initContainers: [container('proxy', polite, { restartPolicy: 'Always' })],
      }),
  },
  {
    name: 'run',
    ending: succeeded,
    spec: (random) => pod([container('c', `echo begun; sleep 0.${pick(random, 9)}`)], { restartPolicy: 'Never' }),
  },
  {
    name: 'run-that-fails',
    ending: { kind: 'failed', exitCode: 3 },
    spec: (random) => pod([container('c', `sleep 0.${pick(random, 9)}; exit 3`)], { restartPolicy: 'Never' }),
  },
  {
    name: 'run-that-is-tried-again',
    ending: succeeded,
    spec: () =>
      pod([container('c', 'echo tried; [ -e /work/tried ] || { touch /work/tried; exit 9; }', mounts('/work'))], {
        restartPolicy: 'OnFailure',
        volumes: [{ name: 'work', emptyDir: { medium: 'Memory' } }],
      }),
  },
  {
    name: 'failing-init',
    ending: { kind: 'failed', exitCode: 4 },
    spec: () =>
      pod([container('c', polite)], { restartPolicy: 'Never', initContainers: [container('first', 'exit 4')] }),
  },
  {
    name: 'crash-loop',
    ending: { kind: 'crashing' },
    spec: () => pod([container('c', 'echo again; exit 1'), container('d', polite)]),
  },
  {
    name: 'volumes',
    ending: running,
    spec: () =>
      pod(
        [
          container(
            'c',
            `grep -q value /secret/key && grep -q value /config/key && grep -q . /all/token && ${polite}`,
            {
              env: [
                { name: 'KEY', valueFrom: { secretKeyRef: { name: SETTINGS, key: 'key' } } },
                { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
              ],
              volumeMounts: [
                { name: 'secret', mountPath: '/secret' },
                { name: 'config', mountPath: '/config' },
                { name: 'all', mountPath: '/all' },
                { name: 'work', mountPath: '/work', subPath: 'below' },
              ],
            },
          ),
        ],
        {
          securityContext: { runAsUser: 1000, fsGroup: 2000 },
          volumes: [
            { name: 'secret', secret: { secretName: SETTINGS } },
            { name: 'config', configMap: { name: SETTINGS } },
            { name: 'work', emptyDir: {} },
            {
              name: 'all',
              projected: {
                sources: [
                  { serviceAccountToken: { path: 'token', expirationSeconds: 600 } },
                  { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
                ],
              },
            },
          ],
        },
      ),
  },
  {
    name: 'probed',
    ending: running,
    spec: () =>
      pod(
        [
          container('c', `touch /tmp/up; ${polite}`, {
            startupProbe: {
              exec: { command: ['test', '-e', '/tmp/up'] },
              periodSeconds: 1,
              timeoutSeconds: 10,
              failureThreshold: 60,
            },
            readinessProbe: { exec: { command: ['test', '-e', '/tmp/up'] }, periodSeconds: 5, timeoutSeconds: 10 },
            volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
          }),
          container('web', 'mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www', {
            readinessProbe: { httpGet: { port: 8080 as never }, periodSeconds: 2, timeoutSeconds: 10 },
            livenessProbe: { tcpSocket: { port: 8080 as never }, periodSeconds: 5, timeoutSeconds: 10 },
          }),
        ],
        { volumes: [{ name: 'tmp', emptyDir: {} }] },
      ),
  },
  {
    name: 'host-network',
    ending: running,
    spec: () => pod([container('c', polite)], { hostNetwork: true, hostPID: true }),
  },
  {
    name: 'host-port',
    ending: running,
    spec: (_, serial) =>
      pod([container('c', polite, { ports: [{ containerPort: 80, hostPort: 20_000 + serial, protocol: 'TCP' }] })]),
  },
  {
    name: 'hooks',
    ending: running,
    spec: (random) =>
      pod([
        container('c', polite, {
          lifecycle: {
            postStart: { exec: { command: ['sh', '-c', 'echo started > /started'] } },
            preStop: { exec: { command: ['sleep', `0.${pick(random, 9)}`] } },
          },
        }),
      ]),
  },
  {
    name: 'ignores-term',
    ending: running,
    spec: () => pod([container('c', `trap '' TERM; echo started; while :; do sleep 1000; done`)]),
  },
  {
    name: 'one-pid-namespace',
    ending: running,
    spec: () => pod([container('a', polite), container('b', deaf)], { shareProcessNamespace: true }),
  },
  {
    name: 'limited',
    ending: running,
    spec: () =>
      pod([
        container('c', polite, {
          resources: { requests: { cpu: '10m', memory: '16Mi' }, limits: { cpu: '200m', memory: '64Mi' } },
        }),
      ]),
  },
  {
    name: 'many-processes',
    ending: running,
    spec: () => pod([container('c', `for i in 1 2 3 4 5 6; do (setsid sleep 100000 &); done; ${polite}`)]),
  },
  {
    name: 'talks-much',
    ending: running,
    spec: () => pod([container('c', `seq 1 20000; ${polite}`)]),
  },
  {
    name: 'no-secret',
    ending: { kind: 'waiting' },
    spec: () =>
      pod([container('c', polite, mounts('/work'))], {
        volumes: [{ name: 'work', secret: { secretName: 'there-is-none' } }],
      }),
  },
  {
    name: 'no-image',
    ending: { kind: 'waiting' },
    spec: () => pod([container('c', polite, { image: 'localhost/there-is-none:1', imagePullPolicy: 'Never' })]),
  },
];

function mounts(mountPath: string): Partial<Container> {
  return { volumeMounts: [{ name: 'work', mountPath }] };
}

/** 1 … n */
function pick(random: Random, n: number): number {
  return 1 + Math.floor(random() * n);
}

export function podOf(shape: Shape, name: string, random: Random, serial: number): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { shape: shape.name } },
    spec: shape.spec(random, serial),
  } as Pod;
}
