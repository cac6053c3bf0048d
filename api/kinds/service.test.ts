import { describe, expect, it } from 'vitest';
import type { Service, ServiceSpec } from '../types/core-v1.ts';
import { service } from './service.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

const serviceOf = (spec: Partial<ServiceSpec> = {}, status?: Service['status']): Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { app: 'web' }, ports: [{ port: 80 }], ...spec },
  ...(status && { status }),
});

describe('defaults', () => {
  it('are those of a cluster IP', () => {
    expect(created(service, serviceOf()).spec).toEqual({
      selector: { app: 'web' },
      type: 'ClusterIP',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    });
  });

  it('follow type and affinity', () => {
    expect(created(service, serviceOf({ type: 'LoadBalancer', sessionAffinity: 'ClientIP' })).spec).toMatchObject({
      allocateLoadBalancerNodePorts: true,
      externalTrafficPolicy: 'Cluster',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 10800 } },
    });
    expect(created(service, serviceOf({ type: 'ExternalName', externalName: 'x.y' })).spec).not.toHaveProperty(
      'internalTrafficPolicy',
    );
  });

  it('pair clusterIP with clusterIPs', () => {
    expect(created(service, serviceOf({ clusterIP: 'None' })).spec?.clusterIPs).toEqual(['None']);
  });
});

it.each<[Partial<ServiceSpec>, string[]]>([
  [{}, []],
  [{ clusterIP: 'None', ports: [] }, []],
  [{ ports: [] }, ['spec.ports: Required value']],
  [
    { ports: [{ port: 0 }] },
    [
      'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
      'spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
  ],
  [{ ports: [{ port: 1 }, { port: 2, name: 'b' }] }, ['spec.ports[0].name: Required value']],
  [
    {
      ports: [
        { port: 1, name: 'a' },
        { port: 2, name: 'a' },
      ],
    },
    ['spec.ports[1].name: Duplicate value: "a"'],
  ],
  [
    {
      ports: [
        { port: 1, name: 'a' },
        { port: 1, name: 'b' },
      ],
    },
    [
      'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,"NodePort":0}',
    ],
  ],
  [
    { ports: [{ port: 1, targetPort: 'Bad_Name' }] },
    [
      'spec.ports[0].targetPort: Invalid value: "Bad_Name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
    ],
  ],
  [
    { ports: [{ port: 1, nodePort: 30000 }] },
    ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
  ],
  [
    { type: 'Odd' },
    ['spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
  ],
  [
    { type: 'NodePort', clusterIP: 'None' },
    ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'],
  ],
  [{ type: 'ExternalName' }, ['spec.externalName: Required value']],
  [
    { sessionAffinity: 'Sticky' },
    ['spec.sessionAffinity: Unsupported value: "Sticky": supported values: "ClientIP", "None"'],
  ],
  [
    { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90000 } } },
    [
      'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less than 86400',
    ],
  ],
  [
    { externalIPs: ['127.0.0.1'] },
    ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  ],
  [
    { clusterIP: 'x' },
    ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
  ],
  [{ ipFamilies: ['IPv5'] }, ['spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"']],
  [
    { externalTrafficPolicy: 'Local' },
    ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
  ],
  [
    { internalTrafficPolicy: 'x' },
    ['spec.internalTrafficPolicy: Unsupported value: "x": supported values: "Cluster", "Local"'],
  ],
  [{ loadBalancerClass: 'a/b' }, ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"]],
])('create %j', (spec, messages) => {
  expect(createErrors(service, serviceOf(spec))).toEqual(messages);
});

describe('update', () => {
  const allocated: Partial<ServiceSpec> = { clusterIP: '10.96.0.5', clusterIPs: ['10.96.0.5'], ipFamilies: ['IPv4'] };

  it('keeps the cluster IP', () => {
    expect(
      updateErrors(
        service,
        serviceOf(allocated),
        serviceOf({ ...allocated, clusterIP: '10.96.0.6', clusterIPs: ['10.96.0.6'] }),
      ),
    ).toEqual(['spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set']);
  });

  it('takes a new clusterIP for the whole list when only that was changed', () => {
    const object = created(service, serviceOf(allocated));
    const old = structuredClone(object);
    object.spec = { ...object.spec, clusterIP: '10.96.0.6' };
    service.prepareForUpdate?.(object, old, CONTEXT);
    expect(object.spec.clusterIPs).toEqual(['10.96.0.6']);
  });

  it('drops what only the old type had', () => {
    const old = created(service, serviceOf({ ...allocated, type: 'LoadBalancer' }));
    const object = structuredClone(old);
    object.spec = { ...object.spec, type: 'ClusterIP' };
    service.setDefaults?.(object);
    service.prepareForUpdate?.(object, old, CONTEXT);
    expect(object.spec).not.toHaveProperty('externalTrafficPolicy');
    expect(object.spec).not.toHaveProperty('allocateLoadBalancerNodePorts');
    expect(messagesOf(service.validateUpdate(object, old))).toEqual([]);
  });
});

it.each<[Partial<ServiceSpec>, Service['status'], unknown[]]>([
  [{ clusterIPs: ['10.0.0.1'] }, {}, ['web', 'ClusterIP', '10.0.0.1', '<none>', '80/TCP', '<unknown>', 'app=web']],
  [
    { clusterIP: 'None', ports: [], selector: undefined },
    {},
    ['web', 'ClusterIP', 'None', '<none>', '<none>', '<unknown>', '<none>'],
  ],
  [
    {
      type: 'NodePort',
      ports: [
        { port: 80, nodePort: 30001 },
        { port: 53, protocol: 'UDP' },
      ],
    },
    {},
    ['web', 'NodePort', '<none>', '<none>', '80:30001/TCP,53/UDP', '<unknown>', 'app=web'],
  ],
  [{ type: 'LoadBalancer' }, {}, ['web', 'LoadBalancer', '<none>', '<pending>', '80/TCP', '<unknown>', 'app=web']],
  [
    { type: 'LoadBalancer', externalIPs: ['1.2.3.4'] },
    { loadBalancer: { ingress: [{ hostname: 'lb' }, { ip: '9.9.9.9' }] } },
    ['web', 'LoadBalancer', '<none>', '9.9.9.9,lb,1.2.3.4', '80/TCP', '<unknown>', 'app=web'],
  ],
  [
    { type: 'ExternalName', externalName: 'a.b' },
    {},
    ['web', 'ExternalName', '<none>', 'a.b', '80/TCP', '<unknown>', 'app=web'],
  ],
])('table %j', (spec, status, cells) => {
  const object = { ...created(service, serviceOf(spec)), status };
  expect(service.cells(object, CONTEXT)).toEqual(cells);
});
