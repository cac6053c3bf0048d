import { expect, it } from 'vitest';
import { messagesOf } from '../kinds/testing.ts';
import { isDualStack, nonSpecialIp, onePerFamily, parseIp, validCidr, validIp } from './ip.ts';
import { ratcheted } from './ratcheting.ts';

it.each([
  ['10.0.0.1', [10, 0, 0, 1]],
  ['010.0.0.1', [10, 0, 0, 1]],
  ['256.0.0.1', undefined],
  ['1.2.3', undefined],
  ['::', [0, 0, 0, 0, 0, 0, 0, 0]],
  ['fd00::1', [0xfd00, 0, 0, 0, 0, 0, 0, 1]],
  ['::ffff:10.0.0.1', [0, 0, 0, 0, 0, 0xffff, 0x0a00, 1]],
  ['1::2::3', undefined],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['fe80::1%eth0', undefined],
  ['', undefined],
])('reads %s', (text, parsed) => {
  expect(parseIp(text)).toEqual(parsed);
});

it.each([
  ['10.0.0.0/8', true],
  ['10.0.0.0/33', false],
  ['fd00::/64', true],
  ['fd00::/129', false],
  ['10.0.0.0', false],
  ['10.0.0.0/8/8', false],
])('CIDR %s is valid: %s', (cidr, isValid) => {
  expect([...validCidr(cidr, 'f')].length === 0).toBe(isValid);
});

it.each([
  ['10.0.0.1', []],
  ['fd00::1', []],
  ['010.0.0.1', ['f: Invalid value: "010.0.0.1": must not have leading 0s']],
  ['10.0.0.01', ['f: Invalid value: "10.0.0.01": must not have leading 0s']],
  ['::ffff:10.0.0.1', ['f: Invalid value: "::ffff:10.0.0.1": must not be an IPv4-mapped IPv6 address']],
])('a new address %s', (address, messages) => {
  expect(messagesOf([...validIp(address, 'f')])).toEqual(messages);
});

it.each([
  ['10.0.0.0/8', []],
  ['0.0.0.0/0', []],
  ['10.0.0.1/32', []],
  ['10.0.0.1/8', ['f: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length']],
  ['10.0.0.0/08', ['f: Invalid value: "10.0.0.0/08": must not have leading 0s in IP or prefix length']],
  ['fd00::1/64', ['f: Invalid value: "fd00::1/64": must not have bits set beyond the prefix length']],
  ['::ffff:10.0.0.0/104', ['f: Invalid value: "::ffff:10.0.0.0/104": must not have an IPv4-mapped IPv6 address']],
])('a new CIDR %s', (cidr, messages) => {
  expect(messagesOf([...validCidr(cidr, 'f')])).toEqual(messages);
});

it('what an object has already may stay', () => {
  const of = (...addresses: string[]) => addresses.flatMap((each, i) => [...validIp(each, `f[${i}]`)]);
  const found = ratcheted(of('10.0.0.1', '010.0.0.1', '10.0.0.02', 'x'), () => of('010.0.0.1'));
  expect(found.map((each) => each.field)).toEqual(['f[2]', 'f[3]']);
});

it.each([
  ['10.0.0.1', []],
  ['0.0.0.0', ['f: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)']],
  [
    '::ffff:127.0.0.1',
    ['f: Invalid value: "::ffff:127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  ],
  ['fe80::1', ['f: Invalid value: "fe80::1": may not be in the link-local range (169.254.0.0/16, fe80::/10)']],
  [
    '224.0.0.5',
    ['f: Invalid value: "224.0.0.5": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
  ],
  ['x', ['f: Invalid value: "x": must be a valid IP address']],
])('endpoint address %s', (address, messages) => {
  expect(messagesOf([...nonSpecialIp(address, 'f')])).toEqual(messages);
});

it('knows one address of each family', () => {
  expect(isDualStack(['10.0.0.1', 'fd00::1'])).toBe(true);
  expect(messagesOf([...onePerFamily([{ ip: '10.0.0.1' }, { ip: '10.0.0.1' }], 'f')])).toEqual([
    'f: Invalid value: [{"ip":"10.0.0.1"},{"ip":"10.0.0.1"}]: may specify no more than one IP for each IP family',
  ]);
});
