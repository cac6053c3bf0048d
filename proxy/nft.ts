// Rule sets as nftables text: the whole table, or one atomic transaction from one set to the next. Pure.
//
//   prerouting, output ─▶ services ─▶ vip map    {address . protocol . port : goto svc-…}
//                                 └▶ nodeport map {protocol . port : goto ext-…}      (local addresses only)
//   svc-…, ext-…  one per Service port ─▶ numgen picks ─▶ ep-…  marks hairpins, dnat
//   postrouting ─▶ masquerade what is marked
//   input, forward, output (filter) ─▶ refused map: ports without endpoints get a refusal, not a timeout
import { createHash } from 'node:crypto';
import type { Endpoint, PortRule, RuleSet } from './rules.ts';

export const TABLE = 'sampan_proxy';
/** Packets carrying this bit leave with the node's own address. */
const MARK = '0x4000';

interface Chain {
  name: string;
  rules: string[];
}

/** What one Service port adds to the table. Two equal renderings mean nothing has to change. */
interface Rendered {
  /** Order matters: a chain comes after those it goes to. */
  chains: Chain[];
  sets: { name: string; timeoutSeconds: number }[];
  elements: { map: 'vips' | 'nodeports' | 'refused' | 'refused_nodeports'; key: string; verdict: string }[];
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);

function render(rule: PortRule): Rendered {
  const rendered: Rendered = { chains: [], sets: [], elements: [] };
  const [clusterIP, ...externalIPs] = rule.addresses;
  const address = (ip: string) => `${ip} . ${rule.protocol} . ${rule.port}`;
  const nodePort = `${rule.protocol} . ${rule.nodePort}`;
  if (rule.endpoints.length > 0) {
    const chain = renderBalancer(rendered, rule, 'svc', rule.endpoints, []);
    rendered.elements.push({ map: 'vips', key: address(clusterIP as string), verdict: `goto ${chain}` });
  } else rendered.elements.push({ map: 'refused', key: address(clusterIP as string), verdict: 'goto refuse' });

  if (rule.nodePort === 0 && externalIPs.length === 0) return rendered;
  if (rule.externalEndpoints.length > 0) {
    const first = rule.keepsClientAddress ? [] : [`meta mark set meta mark or ${MARK}`];
    const chain = renderBalancer(rendered, rule, 'ext', rule.externalEndpoints, first);
    for (const ip of externalIPs) rendered.elements.push({ map: 'vips', key: address(ip), verdict: `goto ${chain}` });
    if (rule.nodePort > 0) rendered.elements.push({ map: 'nodeports', key: nodePort, verdict: `goto ${chain}` });
  } else {
    for (const ip of externalIPs) rendered.elements.push({ map: 'refused', key: address(ip), verdict: 'goto refuse' });
    if (rule.nodePort > 0) rendered.elements.push({ map: 'refused_nodeports', key: nodePort, verdict: 'goto refuse' });
  }
  return rendered;
}

/** A chain that picks one endpoint, and a chain for each endpoint. Returns the picking chain's name. */
function renderBalancer(
  into: Rendered,
  rule: PortRule,
  kind: 'svc' | 'ext',
  endpoints: Endpoint[],
  first: string[],
): string {
  const name = `${kind}-${hash(rule.id)}`;
  const sticky: string[] = [];
  const picks: string[] = [];
  for (const [index, endpoint] of endpoints.entries()) {
    const suffix = hash(`${rule.id} ${endpoint.ip}:${endpoint.port}`);
    const chain = `ep-${kind}-${suffix}`;
    const rules = [`ip saddr ${endpoint.ip} meta mark set meta mark or ${MARK}`];
    if (rule.affinitySeconds > 0) {
      const set = `aff-${kind}-${suffix}`;
      into.sets.push({ name: set, timeoutSeconds: rule.affinitySeconds });
      rules.push(`update @${set} { ip saddr }`);
      sticky.push(`ip saddr @${set} goto ${chain}`);
    }
    rules.push(`meta l4proto ${rule.protocol} dnat to ${endpoint.ip}:${endpoint.port}`);
    into.chains.push({ name: chain, rules });
    picks.push(`${index} : goto ${chain}`);
  }
  const pick =
    endpoints.length === 1
      ? (picks[0] as string).replace('0 : ', '')
      : `numgen random mod ${endpoints.length} vmap { ${picks.join(', ')} }`;
  into.chains.push({ name, rules: [...first, ...sticky, pick] });
  return name;
}

const SKELETON = [
  `add table ip ${TABLE}`,
  `delete table ip ${TABLE}`,
  `add table ip ${TABLE}`,
  `add map ip ${TABLE} vips { type ipv4_addr . inet_proto . inet_service : verdict; }`,
  `add map ip ${TABLE} nodeports { type inet_proto . inet_service : verdict; }`,
  `add map ip ${TABLE} refused { type ipv4_addr . inet_proto . inet_service : verdict; }`,
  `add map ip ${TABLE} refused_nodeports { type inet_proto . inet_service : verdict; }`,
  `add chain ip ${TABLE} refuse`,
  `add rule ip ${TABLE} refuse meta l4proto tcp reject with tcp reset`,
  `add rule ip ${TABLE} refuse reject with icmp port-unreachable`,
  `add chain ip ${TABLE} services`,
  `add rule ip ${TABLE} services ip daddr . meta l4proto . th dport vmap @vips`,
  // Node ports answer on the node's addresses, not on its loopback: that needs route_localnet, which weakens a host.
  `add rule ip ${TABLE} services ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @nodeports`,
  `add chain ip ${TABLE} refusals`,
  `add rule ip ${TABLE} refusals ip daddr . meta l4proto . th dport vmap @refused`,
  `add rule ip ${TABLE} refusals fib daddr type local meta l4proto . th dport vmap @refused_nodeports`,
  `add chain ip ${TABLE} prerouting { type nat hook prerouting priority -100; }`,
  `add rule ip ${TABLE} prerouting jump services`,
  `add chain ip ${TABLE} nat_output { type nat hook output priority -100; }`,
  `add rule ip ${TABLE} nat_output jump services`,
  `add chain ip ${TABLE} postrouting { type nat hook postrouting priority 100; }`,
  `add rule ip ${TABLE} postrouting meta mark and ${MARK} == ${MARK} masquerade fully-random`,
  ...['input', 'forward', 'output'].flatMap((hook) => [
    `add chain ip ${TABLE} filter_${hook} { type filter hook ${hook} priority -10; }`,
    `add rule ip ${TABLE} filter_${hook} ct state new jump refusals`,
  ]),
];

/** The whole table, replacing whatever was there. */
export function renderTable(rules: RuleSet): string {
  return `${[...SKELETON, ...renderChange(new Map(), rules)].join('\n')}\n`;
}

/** Removes the table; succeeds when there is none. */
export function renderRemoval(): string {
  return `add table ip ${TABLE}\ndelete table ip ${TABLE}\n`;
}

/** One transaction that turns the table of `before` into that of `after`; empty when nothing changes. */
export function renderUpdate(before: RuleSet, after: RuleSet): string {
  const lines = renderChange(before, after);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function renderChange(before: RuleSet, after: RuleSet): string[] {
  const removals: string[] = [];
  const flushes: string[] = [];
  const additions: string[] = [];
  const elements: string[] = [];
  const deletions: string[] = [];
  for (const id of new Set([...before.keys(), ...after.keys()])) {
    const [oldRule, newRule] = [before.get(id), after.get(id)];
    const old = oldRule ? render(oldRule) : { chains: [], sets: [], elements: [] };
    const next = newRule ? render(newRule) : { chains: [], sets: [], elements: [] };
    changeOf(old, next, { removals, flushes, additions, elements, deletions });
  }
  // Elements go before the chains they point to; chains are filled before elements point to them.
  return [...removals, ...flushes, ...additions, ...elements, ...deletions];
}

function changeOf(
  old: Rendered,
  next: Rendered,
  out: Record<'removals' | 'flushes' | 'additions' | 'elements' | 'deletions', string[]>,
): void {
  const oldElements = new Map(old.elements.map((each) => [`${each.map} ${each.key}`, each]));
  const nextElements = new Map(next.elements.map((each) => [`${each.map} ${each.key}`, each]));
  for (const [key, each] of oldElements) {
    if (nextElements.get(key)?.verdict !== each.verdict) {
      out.removals.push(`delete element ip ${TABLE} ${each.map} { ${each.key} }`);
    }
  }
  for (const [key, each] of nextElements) {
    if (oldElements.get(key)?.verdict !== each.verdict) {
      out.elements.push(`add element ip ${TABLE} ${each.map} { ${each.key} : ${each.verdict} }`);
    }
  }
  const oldChains = new Map(old.chains.map((each) => [each.name, each]));
  const nextNames = new Set(next.chains.map((each) => each.name));
  const oldSets = new Set(old.sets.map((each) => `${each.name} ${each.timeoutSeconds}`));
  const nextSets = new Set(next.sets.map((each) => `${each.name} ${each.timeoutSeconds}`));
  for (const set of next.sets) {
    if (oldSets.has(`${set.name} ${set.timeoutSeconds}`)) continue;
    out.additions.push(
      `add set ip ${TABLE} ${set.name} { type ipv4_addr; flags dynamic,timeout; timeout ${set.timeoutSeconds}s; }`,
    );
  }
  for (const chain of next.chains) {
    const known = oldChains.get(chain.name);
    if (known && known.rules.join('\n') === chain.rules.join('\n')) continue;
    if (known) out.flushes.push(`flush chain ip ${TABLE} ${chain.name}`);
    else out.additions.push(`add chain ip ${TABLE} ${chain.name}`);
    for (const rule of chain.rules) out.additions.push(`add rule ip ${TABLE} ${chain.name} ${rule}`);
  }
  // Chains that go away are emptied first, so that none refers to another when it is deleted.
  const gone = old.chains.filter((each) => !nextNames.has(each.name));
  for (const chain of gone) out.flushes.push(`flush chain ip ${TABLE} ${chain.name}`);
  for (const chain of gone) out.deletions.push(`delete chain ip ${TABLE} ${chain.name}`);
  for (const set of old.sets) {
    if (!nextSets.has(`${set.name} ${set.timeoutSeconds}`)) out.deletions.push(`delete set ip ${TABLE} ${set.name}`);
  }
}
