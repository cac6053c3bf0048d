// IPAddresses, ServiceCIDRs, and events of events.k8s.io: one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { eventsV1Event } from './events-v1-event.ts';
import { ipAddress } from './ip-address.ts';
import { serviceCidr } from './service-cidr.ts';
import { createErrors, updateErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';

const IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

describe('IPAddresses', () => {
  const sample = SAMPLES['ipaddresses.networking.k8s.io'] as object;
  it.each([
    ['10.0.0.1', []],
    ['2001:db8::1', []],
    ['::', []],
    ['10.0.0.01', ['must not have leading 0s']],
    ['::ffff:10.0.0.1', ['must not be an IPv4-mapped IPv6 address']],
    ['10.0.0', [IP]],
    ['2001:DB8::1', ['must be in canonical form ("2001:db8::1")']],
    ['2001:db8:0:0:0:0:0:1', ['must be in canonical form ("2001:db8::1")']],
  ])('named %s', (name, messages) => {
    expect(ipAddress.validateName?.(name, false)).toEqual(messages);
  });
  it.each<[object, string[]]>([
    [{}, []],
    [{ parentRef: null }, ['spec.parentRef: Required value']],
    [
      { parentRef: { resource: '', name: '' } },
      ['spec.parentRef.resource: Required value', 'spec.parentRef.name: Required value'],
    ],
    [
      { parentRef: { resource: 'a/b', namespace: 'c%d' } },
      [
        'spec.parentRef.resource: Invalid value: "a/b": may not contain \'/\'',
        'spec.parentRef.namespace: Invalid value: "c%d": may not contain \'%\'',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(ipAddress, variant(sample, { spec }))).toEqual(messages);
  });
  it('stay whose they are', () => {
    const other = variant<never>(sample, { spec: { parentRef: { name: 'x' } } });
    expect(updateErrors(ipAddress, variant<never>(sample, {}), other)).toEqual([
      expect.stringMatching(
        /^spec\.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"[^"]*","Name":"x"}: field is immutable$/,
      ),
    ]);
  });
});

describe('ServiceCIDRs', () => {
  const CIDR = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
  it.each<[string[], string[]]>([
    [['10.0.0.0/16'], []],
    [['10.0.0.0/16', 'fd00::/64'], []],
    [[], ['spec.cidrs: Required value: at least one CIDR required']],
    [['10.0.0.0/99'], [`spec.cidrs[0]: Invalid value: "10.0.0.0/99": ${CIDR}`]],
    [['10.0.0.7/16'], ['spec.cidrs[0]: Invalid value: "10.0.0.7/16": must not have bits set beyond the prefix length']],
    [['FD00::/64'], ['spec.cidrs[0]: Invalid value: "FD00::/64": must be in canonical form ("fd00::/64")']],
    [
      ['10.0.0.0/16', '10.1.0.0/16', 'fd00::/64'],
      ['spec.cidrs: Invalid value: {"CIDRs":["10.0.0.0/16","10.1.0.0/16","fd00::/64"]}: may only hold up to 2 values'],
    ],
    [['10.0.0.0/16', 'x'], [`spec.cidrs[1]: Invalid value: "x": ${CIDR}`]],
    [
      ['10.0.0.0/16', '10.1.0.0/16'],
      [
        'spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
      ],
    ],
  ])('%j', (cidrs, messages) => {
    expect(createErrors(serviceCidr, { metadata: { name: 'a' }, spec: { cidrs } } as never)).toEqual(messages);
  });
  it.each<[string[], string[], string[]]>([
    [['10.0.0.0/16'], ['10.1.0.0/16'], ['spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable']],
    [['10.0.0.0/16'], ['10.0.0.0/16', 'fd00::/64'], []],
    [
      ['10.0.0.0/16'],
      ['10.0.0.0/16', '10.1.0.0/16'],
      [expect.stringMatching(/^spec\.cidrs: Invalid value: .*may specify no more than one IP for each IP family/)],
    ],
    [['10.0.0.0/16'], ['fd00::/64', '10.0.0.0/16'], ['spec.cidrs[0]: Invalid value: "fd00::/64": field is immutable']],
    [['10.0.0.0/16', 'fd00::/64'], ['10.0.0.0/16'], ['spec.cidrs: Invalid value: ["10.0.0.0/16"]: field is immutable']],
  ])('%j becomes %j', (before, after, messages) => {
    const of = (cidrs: string[]) => ({ metadata: { name: 'a' }, spec: { cidrs } }) as never;
    expect(updateErrors(serviceCidr, of(before), of(after))).toEqual(messages);
  });
});

describe('events', () => {
  const sample = SAMPLES['events.events.k8s.io'] as object;
  it.each<[object, string[]]>([
    [{}, []],
    [{ eventTime: null }, ['eventTime: Required value']],
    [{ type: 'Loud' }, ['type: Invalid value: "": has invalid value: Loud']],
    [
      { series: { count: 1 } },
      ['series.count: Invalid value: "": should be at least 2', 'series.lastObservedTime: Required value'],
    ],
    [
      { deprecatedCount: 1, deprecatedSource: { host: 'h' }, deprecatedFirstTimestamp: '2026-01-01T00:00:00Z' },
      [
        'firstTimestamp: Invalid value: "": needs to be unset',
        'count: Invalid value: "": needs to be unset',
        'source: Invalid value: "": needs to be unset',
      ],
    ],
    [
      { reportingController: '', action: 'x'.repeat(129), note: 'x'.repeat(1025) },
      [
        'reportingController: Required value',
        expect.stringMatching(/^reportingController: Invalid value: "": name part must be non-empty/),
        expect.stringMatching(/^reportingController: Invalid value: ""/),
        'action: Invalid value: "": can have at most 128 characters',
        'message: Invalid value: "": can have at most 1024 characters',
      ],
    ],
    [
      { regarding: { namespace: null }, metadata: { namespace: 'elsewhere' } },
      ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
    ],
  ])('%j', (patch, messages) => {
    expect(createErrors(eventsV1Event, variant({ metadata: { namespace: 'default' }, ...sample }, patch))).toEqual(
      messages,
    );
  });
});
