import { describe, expect, it } from 'vitest';
import type { EndpointSubset, Event } from '../types/core-v1.ts';
import type { EndpointSlice } from '../types/discovery-v1.ts';
import { endpointSlice } from './endpoint-slice.ts';
import { endpoints } from './endpoints.ts';
import { event } from './event.ts';
import { CONTEXT, createErrors, created, updateErrors } from './testing.ts';

const metadata = { name: 'web', namespace: 'default' };
const addresses = (...ips: string[]) => ips.map((ip) => ({ ip }));

describe('Endpoints', () => {
  it.each<[EndpointSubset[], string]>([
    [[], '<none>'],
    [[{ addresses: addresses('10.0.0.1') }], '10.0.0.1'],
    [[{ addresses: addresses('10.0.0.1', 'fd00::1'), ports: [{ port: 80 }] }], '10.0.0.1:80,[fd00::1]:80'],
    [
      [
        {
          addresses: addresses('10.0.0.1', '10.0.0.2'),
          ports: [
            { port: 1, name: 'a' },
            { port: 2, name: 'b' },
          ],
        },
        { addresses: addresses('10.0.0.3'), ports: [{ port: 3 }] },
      ],
      '10.0.0.1:1,10.0.0.2:1,10.0.0.1:2 + 2 more...',
    ],
    [[{ notReadyAddresses: addresses('10.0.0.1'), ports: [{ port: 80 }] }], '<none>'],
  ])('table %#', (subsets, text) => {
    const object = created(endpoints, { metadata, subsets });
    expect(endpoints.cells(object, CONTEXT)).toEqual(['web', text, '<unknown>']);
    expect(endpoints.validate(object)).toEqual([]);
  });

  it.each<[EndpointSubset, string]>([
    [{}, 'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`'],
    [
      { addresses: addresses('169.254.1.1') },
      'subsets[0].addresses[0].ip: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
    ],
    [
      { addresses: addresses('::1') },
      'subsets[0].addresses[0].ip: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ],
    [
      { addresses: addresses('10.0.0.1'), ports: [{ port: 1 }, { port: 2 }] },
      'subsets[0].ports[0].name: Required value',
    ],
  ])('create %j', (subset, message) => {
    expect(createErrors(endpoints, { metadata, subsets: [subset] })).toContain(message);
  });

  it('is deprecated', () => {
    expect(endpoints.deprecation).toBe('v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice');
  });
});

describe('EndpointSlice', () => {
  const sliceOf = (more: Partial<EndpointSlice> = {}): EndpointSlice => ({
    metadata: { ...metadata, generation: 1 },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 80 }],
    ...more,
  });

  it('prints its table', () => {
    expect(endpointSlice.cells(created(endpointSlice, sliceOf()), CONTEXT)).toEqual([
      'web',
      'IPv4',
      '80',
      '10.0.0.1',
      '<unknown>',
    ]);
    const wide = sliceOf({
      endpoints: ['1', '2', '3', '4', '5'].map((each) => ({ addresses: [`10.0.0.${each}`] })),
      ports: [{ name: 'x' }, {}],
    });
    expect(endpointSlice.cells(wide, CONTEXT).slice(2, 4)).toEqual(['x,*', '10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...']);
    expect(endpointSlice.cells(sliceOf({ endpoints: undefined, ports: undefined }), CONTEXT).slice(2, 4)).toEqual([
      '<unset>',
      '<unset>',
    ]);
  });

  it.each<[Partial<EndpointSlice>, string[]]>([
    [{}, []],
    [{ addressType: '' }, ['addressType: Required value']],
    [{ addressType: 'IPv6' }, ['endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be a valid IPv6 address']],
    [{ endpoints: [{ addresses: [] }] }, ['endpoints[0].addresses: Required value: must contain at least 1 address']],
    [{ ports: [{ name: 'a' }, { name: 'a' }] }, ['ports[1].name: Duplicate value: "a"']],
    [
      { endpoints: Array.from({ length: 1001 }, () => ({ addresses: ['10.0.0.1'] })) },
      ['endpoints: Too many: 1001: must have at most 1000 items'],
    ],
  ])('create %#', (more, messages) => {
    expect(createErrors(endpointSlice, sliceOf(more))).toEqual(messages);
  });

  it('counts generations by its content and keeps its address type', () => {
    const old = created(endpointSlice, sliceOf());
    const object = created(endpointSlice, sliceOf({ endpoints: [{ addresses: ['10.0.0.2'] }] }));
    endpointSlice.prepareForUpdate?.(object, old, CONTEXT);
    expect(object.metadata.generation).toBe(2);
    expect(updateErrors(endpointSlice, sliceOf(), sliceOf({ addressType: 'FQDN', endpoints: [] }))).toEqual([
      'addressType: Invalid value: "FQDN": field is immutable',
    ]);
  });
});

describe('Event', () => {
  const eventOf = (more: Partial<Event> = {}): Event => ({
    metadata,
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
    ...more,
  });
  const ago = (seconds: number) => new Date(CONTEXT.nowMs - seconds * 1000).toISOString();

  it.each<[Event, unknown[]]>([
    [
      eventOf({
        type: 'Normal',
        reason: 'Pulled',
        message: ' done\n',
        firstTimestamp: ago(60),
        lastTimestamp: ago(5),
        count: 4,
        source: { component: 'kubelet', host: 'n' },
      }),
      ['5s', 'Normal', 'Pulled', 'pod/p', '', 'kubelet, n', 'done', '60s', 4, 'web'],
    ],
    [
      eventOf({
        eventTime: ago(9),
        reportingComponent: 'scheduler',
        reportingInstance: 'i',
        involvedObject: { kind: 'Pod', fieldPath: 'spec.containers{a}' },
      }),
      ['9s', '', '', 'pod', 'spec.containers{a}', 'scheduler, i', '', '9s', 1, 'web'],
    ],
    [
      eventOf({ eventTime: ago(90), series: { count: 7, lastObservedTime: ago(2) } }),
      ['2s', '', '', 'pod/p', '', '', '', '90s', 7, 'web'],
    ],
  ])('table %#', (object, cells) => {
    expect(event.cells(object, CONTEXT)).toEqual(cells);
  });

  it.each<[Partial<Event>, string[]]>([
    [{}, []],
    [
      { involvedObject: { namespace: 'other' } },
      ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ],
    [
      { eventTime: ago(1), reportingComponent: 'a', reportingInstance: 'b', action: 'c', reason: '' },
      ['reason: Required value'],
    ],
  ])('create %j', (more, messages) => {
    expect(createErrors(event, eventOf(more))).toEqual(messages);
  });

  it('is selected by what it is about, and lives an hour', () => {
    const fields = event.selectableFields ?? {};
    expect(fields['involvedObject.kind']?.(eventOf())).toBe('Pod');
    expect(fields.source?.(eventOf({ source: {}, reportingComponent: 'me' }))).toBe('me');
    expect(event.ttlSeconds).toBe(3600);
  });
});
