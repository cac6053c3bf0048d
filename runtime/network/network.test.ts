import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressPool, formatAddress, gatewayOf, macOf, parseSubnet } from './ipam.ts';
import { baseRules, checkPorts, closePorts, openPorts } from './rules.ts';

describe('addresses', () => {
  it('gives every one once, never gateway, network or broadcast, and not again at once', () => {
    const subnet = parseSubnet('10.244.3.0/24');
    const pool = new AddressPool(subnet, ['10.244.3.2']);
    const given = Array.from({ length: 252 }, () => pool.take());
    expect(new Set(given).size).toBe(252);
    expect(given[0]).toBe('10.244.3.3');
    for (const never of ['10.244.3.0', '10.244.3.1', '10.244.3.2', '10.244.3.255']) expect(given).not.toContain(never);
    expect(() => pool.take()).toThrow('no address is left in 10.244.3.0/24');
    pool.give('10.244.3.9');
    expect(pool.take()).toBe('10.244.3.9');
    const fresh = new AddressPool(subnet, []);
    const first = fresh.take();
    fresh.give(first);
    expect(fresh.take()).not.toBe(first);
  });
  it('never gives one that is taken, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(5)), { maxLength: 60 }), (moves) => {
        const pool = new AddressPool(parseSubnet('10.0.0.0/28'), []);
        const held: string[] = [];
        for (const move of moves) {
          if (move === null && held.length < 13) {
            const address = pool.take();
            expect(held).not.toContain(address);
            held.push(address);
          } else if (held.length > 0) pool.give(held.splice((move ?? 0) % held.length, 1)[0] as string);
        }
        expect(pool.taken).toBe(held.length);
      }),
    );
  });
  it('reads networks', () => {
    expect(gatewayOf(parseSubnet('10.244.0.77/24'))).toBe('10.244.0.1');
    expect(formatAddress(parseSubnet('192.168.128.0/20').base)).toBe('192.168.128.0');
    expect(macOf('10.244.0.5')).toBe('0a:58:0a:f4:00:05');
    for (const bad of ['10.0.0.0', '10.0.0.256/24', 'fd00::/64', '10.0.0.0/30'])
      expect(() => parseSubnet(bad)).toThrow('pod CIDR');
  });
});

describe('rules', () => {
  it('masquerade, and open and close ports in transactions', () => {
    expect(baseRules('10.244.0.0/24', 'sampan0')).toContain(
      'ip saddr 10.244.0.0/24 ip daddr != 10.244.0.0/24 oifname != "sampan0" masquerade',
    );
    const opened = openPorts('s1', '10.244.0.5', [
      { protocol: 'TCP', hostPort: 80, containerPort: 8080 },
      { protocol: 'UDP', hostPort: 53, hostIP: '10.1.1.1', containerPort: 53 },
    ]);
    expect(opened).toContain('tcp dport 80 dnat ip to 10.244.0.5:8080');
    expect(opened).toContain('ip daddr 10.1.1.1 udp dport 53 dnat ip to 10.244.0.5:53');
    const chain = /add chain inet sampan_pods (\S+)/.exec(opened)?.[1];
    expect(closePorts('s1', `jump ${chain} comment "x" # handle 12\njump other # handle 13`)).toBe(
      `delete rule inet sampan_pods ports handle 12\ndelete chain inet sampan_pods ${chain}\n`,
    );
    expect(closePorts('s2', `jump ${chain} # handle 12`)).toBe('');
  });
  it('one host port, one pod', () => {
    const port = { protocol: 'TCP', hostPort: 80, containerPort: 1 } as const;
    expect(() => checkPorts([port], [port])).toThrow('80/TCP is already taken');
    expect(() => checkPorts([{ ...port, hostIP: '10.0.0.1' }], [port])).toThrow('already taken');
    expect(() =>
      checkPorts(
        [{ ...port, hostIP: '10.0.0.1' }],
        [
          { ...port, hostIP: '10.0.0.2' },
          { ...port, protocol: 'UDP' },
        ],
      ),
    ).not.toThrow();
    expect(() => checkPorts([{ ...port, hostIP: '10.0.0.1; drop' }], [])).toThrow('is not an address');
  });
});
