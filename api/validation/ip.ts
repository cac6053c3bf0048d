// IP addresses and CIDRs as upstream reads them, and which addresses no endpoint can have. Leading zeros, IPv4 in IPv6 and host
// bits are read, because stored objects may have them, and refused in what is new (StrictIPCIDRValidation, on since 1.36).
import { fieldErrors } from '../field-error.ts';
import type { Findings } from './checks.ts';

const { invalid } = fieldErrors;

export type IpFamily = 'IPv4' | 'IPv6';

/** Four octets or eight 16-bit groups; undefined for what is no address. A zone is no part of one. */
export function parseIp(text: string): number[] | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const octets = parts.map((part) => (/^[0-9]+$/.test(part) ? Number(part) : 256));
  return octets.every((octet) => octet <= 255) ? octets : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : groupsOf(half)));
  if (groups.some((half) => half === undefined)) return undefined;
  const [left = [], right = []] = groups as number[][];
  const missing = 8 - left.length - right.length;
  if (halves.length === 1) return missing === 0 ? left : undefined;
  return missing >= 1 ? [...left, ...Array.from({ length: missing }, () => 0), ...right] : undefined;
}

function groupsOf(half: string): number[] | undefined {
  const parts = half.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const octets = parseIpv4(part);
      if (!octets) return undefined;
      const [a = 0, b = 0, c = 0, d = 0] = octets;
      groups.push(a * 256 + b, c * 256 + d);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

export const ipFamily = (address: string): IpFamily => (address.includes(':') ? 'IPv6' : 'IPv4');

export function* validIp(address: string | undefined, field: string): Findings {
  const text = address ?? '';
  const parts = parseIp(text);
  if (!parts) yield invalid(field, text, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  else if (hasLeadingZeros(text)) yield newRule(field, text, 'must not have leading 0s');
  else if (isMappedIpv4(parts)) yield newRule(field, text, 'must not be an IPv4-mapped IPv6 address');
}

const newRule = (field: string, value: string, detail: string) => ({
  ...invalid(field, value, detail),
  isNewRule: true,
});

/** Octets of an IPv4 address, also at the end of an IPv6 one. */
const hasLeadingZeros = (address: string): boolean => /(^|[.:])0[0-9]+\./.test(address) || /\.0[0-9]/.test(address);

const isMappedIpv4 = (parts: readonly number[]): boolean =>
  parts.length === 8 && parts[5] === 0xffff && parts.slice(0, 5).every((group) => group === 0);

/** What stored objects may have as one, in whatever form. */
export function isCidr(cidr: string): boolean {
  const [address = '', length = '', ...rest] = cidr.split('/');
  return (
    rest.length === 0 &&
    parseIp(address) !== undefined &&
    /^[0-9]{1,3}$/.test(length) &&
    Number(length) <= (ipFamily(address) === 'IPv4' ? 32 : 128)
  );
}

export function* validCidr(cidr: string, field: string): Findings {
  const [address = '', length = ''] = cidr.split('/');
  if (!isCidr(cidr)) yield invalid(field, cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)');
  else if (hasLeadingZeros(address) || /^0[0-9]/.test(length)) {
    yield newRule(field, cidr, 'must not have leading 0s in IP or prefix length');
  } else {
    const parts = parseIp(address) as number[];
    if (isMappedIpv4(parts)) yield newRule(field, cidr, 'must not have an IPv4-mapped IPv6 address');
    else if (masked(parts, Number(length)).some((part, i) => part !== parts[i])) {
      yield newRule(field, cidr, 'must not have bits set beyond the prefix length');
    }
  }
}

/** The address with all bits after the first `length` cleared. */
function masked(parts: readonly number[], length: number): number[] {
  const width = parts.length === 4 ? 8 : 16;
  return parts.map((part, i) => {
    const kept = Math.max(0, Math.min(width, length - i * width));
    return part & ~((1 << (width - kept)) - 1);
  });
}

/** Not an address that only means something on one node. */
export function* nonSpecialIp(address: string | undefined, field: string): Findings {
  const text = address ?? '';
  const parsed = parseIp(text);
  if (!parsed) {
    yield invalid(field, text, 'must be a valid IP address');
    return;
  }
  const octets =
    parsed.length === 4
      ? parsed
      : isMappedIpv4(parsed)
        ? parsed.slice(6).flatMap((group) => [group >> 8, group & 0xff])
        : undefined;
  const [first = 0, second = 0] = octets ?? parsed;
  const last = parsed.at(-1);
  const isZeroButLast = parsed.slice(0, -1).every((part) => part === 0);
  const facts = octets
    ? {
        unspecified: octets.every((octet) => octet === 0),
        loopback: first === 127,
        linkLocal: first === 169 && second === 254,
        multicast: first === 224 && second === 0 && octets[2] === 0,
      }
    : {
        unspecified: isZeroButLast && last === 0,
        loopback: isZeroButLast && last === 1,
        linkLocal: (first & 0xffc0) === 0xfe80,
        multicast: (first & 0xff0f) === 0xff02,
      };
  if (facts.unspecified) yield invalid(field, text, `may not be unspecified (${text})`);
  if (facts.loopback) yield invalid(field, text, 'may not be in the loopback range (127.0.0.0/8, ::1/128)');
  if (facts.linkLocal) yield invalid(field, text, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)');
  if (facts.multicast) {
    yield invalid(field, text, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
  }
}

export function isDualStack(addresses: readonly string[]): boolean {
  return new Set(addresses.map((each) => ipFamily(each))).size === 2;
}

/** At most one address of each family, none twice: the rule of podIPs and hostIPs. */
export function* onePerFamily(entries: readonly { ip: string }[], field: string): Findings {
  for (const [i, entry] of entries.entries()) yield* validIp(entry.ip, `${field}[${i}]`);
  if (entries.length < 2) return;
  if (!isDualStack(entries.map((each) => each.ip)) || entries.length > 2) {
    yield invalid(field, entries, 'may specify no more than one IP for each IP family');
  }
}

/** Both are valid CIDRs: every address of `inner` is in `outer`, which has more. */
export const isStrictlyWithin = (inner: string, outer: string): boolean =>
  isWithin(inner, outer) && bitsOf(inner)[1] > bitsOf(outer)[1];

/** Both are valid CIDRs: every address of `inner` is in `outer`. */
export function isWithin(inner: string, outer: string): boolean {
  const [innerBits, innerLength] = bitsOf(inner);
  const [outerBits, outerLength] = bitsOf(outer);
  if (innerBits.length !== outerBits.length || innerLength < outerLength) return false;
  return innerBits.slice(0, outerLength) === outerBits.slice(0, outerLength);
}

/** A valid address as the CIDR that holds nothing else. */
export const singleCidr = (address: string): string => `${address}/${ipFamily(address) === 'IPv4' ? 32 : 128}`;

function bitsOf(cidr: string): [bits: string, length: number] {
  const [address = '', length] = cidr.split('/');
  const parts = parseIp(address) ?? [];
  const width = parts.length === 4 ? 8 : 16;
  return [parts.map((part) => part.toString(2).padStart(width, '0')).join(''), Number(length)];
}

/** How Go writes an address: no leading zeros, the longest run of zero groups as `::`. Undefined for what is none. */
export function canonicalIp(text: string): string | undefined {
  const parts = parseIp(text);
  if (!parts) return undefined;
  if (parts.length === 4) return parts.join('.');
  let best = { from: -1, length: 1 };
  for (let from = 0; from < 8; from++) {
    let length = 0;
    while (from + length < 8 && parts[from + length] === 0) length++;
    if (length > best.length) best = { from, length };
  }
  const hex = parts.map((part) => part.toString(16));
  if (best.from < 0) return hex.join(':');
  return `${hex.slice(0, best.from).join(':')}::${hex.slice(best.from + best.length).join(':')}`;
}

/** For names that are addresses: the one way to write it. */
export function canonicalIpMessages(text: string): string[] {
  const found = [...validIp(text, '')];
  if (found.length > 0) return found.map(({ body }) => body.slice(body.lastIndexOf(': ') + 2));
  const canonical = canonicalIp(text);
  return canonical === text ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`];
}

/** A CIDR of a younger field: the one way to write it, also in what is stored. */
export function* canonicalCidr(cidr: string, field: string): Findings {
  const found = [...validCidr(cidr, field)].map(({ isNewRule: _always, ...each }) => each);
  yield* found;
  if (found.length > 0) return;
  const canonical = canonicalCidrOf(cidr);
  if (canonical !== cidr) yield invalid(field, cidr, `must be in canonical form (${JSON.stringify(canonical)})`);
}

/** How Go writes a valid CIDR, its host bits cleared. */
export function canonicalCidrOf(cidr: string): string {
  const [address = '', bits = '0'] = cidr.split('/');
  const parts = masked(parseIp(address) as number[], Number(bits));
  const network = parts.length === 4 ? parts.join('.') : parts.map((each) => each.toString(16)).join(':');
  return `${canonicalIp(network)}/${Number(bits)}`;
}
