// Kubernetes' IP addresses and CIDRs, as strict as Go's netip: no leading zeros, no zones, no IPv4 in IPv6.
import { parseIp } from '../../validation/ip.ts';
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelError, CelOpaque, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';

const ipType = types.opaque('net.IP');
const cidrType = types.opaque('net.CIDR');
const { string, bool, int } = types;

class CelIp extends CelOpaque {
  readonly typeName = 'net.IP';
  readonly bytes: readonly number[];
  constructor(bytes: readonly number[]) {
    super();
    this.bytes = bytes;
  }
  override get size(): number {
    return this.bytes.length;
  }
  equals(other: CelValue): boolean {
    return other instanceof CelIp && sameBytes(this.bytes, other.bytes);
  }
  override toString(): string {
    return this.bytes.length === 4 ? this.bytes.join('.') : formatIpv6(this.bytes);
  }
}

class CelCidr extends CelOpaque {
  readonly typeName = 'net.CIDR';
  readonly ip: CelIp;
  readonly bits: number;
  constructor(ip: CelIp, bits: number) {
    super();
    this.ip = ip;
    this.bits = bits;
  }
  override get size(): number {
    return Math.ceil(this.bits / 8);
  }
  equals(other: CelValue): boolean {
    return other instanceof CelCidr && other.bits === this.bits && this.ip.equals(other.ip);
  }
  override toString(): string {
    return `${this.ip}/${this.bits}`;
  }
}

const sameBytes = (left: readonly number[], right: readonly number[]) =>
  left.length === right.length && left.every((each, index) => each === right[index]);

/** The longest run of zero groups is `::`. */
function formatIpv6(bytes: readonly number[]): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => (bytes[index * 2] as number) * 256 + (bytes[index * 2 + 1] as number),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: number[]) => part.map((each) => each.toString(16)).join(':');
  if (best.start < 0) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}

/** Undefined for what netip.ParseAddr refuses. */
function addressBytes(text: string): number[] | undefined {
  if (/(^|[.:])0[0-9]+\./.test(`${text}.`) && text.includes('.') && hasLeadingZero(text)) return undefined;
  const parsed = parseIp(text);
  if (!parsed) return undefined;
  return parsed.length === 4 ? parsed : parsed.flatMap((group) => [group >> 8, group & 255]);
}
const hasLeadingZero = (text: string) =>
  text
    .slice(text.lastIndexOf(':') + 1)
    .split('.')
    .some((part) => /^0[0-9]/.test(part));

function parseAddress(text: string): CelIp | CelError {
  const [address = '', zone] = text.split('%', 2);
  const bytes = addressBytes(zone === undefined ? text : address);
  if (!bytes || zone === '' || (zone !== undefined && bytes.length === 4)) {
    return failure(
      `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`,
    );
  }
  if (zone !== undefined) return failure(`IP address ${JSON.stringify(text)} with zone value is not allowed`);
  if (isMapped(bytes)) return failure(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`);
  return new CelIp(bytes);
}

const isMapped = (bytes: readonly number[]) =>
  bytes.length === 16 && bytes.slice(0, 10).every((each) => each === 0) && bytes[10] === 255 && bytes[11] === 255;

function parseCidr(text: string): CelCidr | CelError {
  const at = text.lastIndexOf('/');
  const bytes = at < 0 ? undefined : addressBytes(text.slice(0, at));
  const digits = text.slice(at + 1);
  const bits = /^(?:0|[1-9][0-9]{0,2})$/.test(digits) ? Number(digits) : 999;
  if (!bytes || bits > bytes.length * 8) {
    const why = at < 0 ? "no '/'" : bytes ? 'prefix length out of range' : 'unable to parse IP';
    return failure(
      `network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(text)}): ${why}`,
    );
  }
  if (isMapped(bytes)) return failure(`IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`);
  return new CelCidr(new CelIp(bytes), bits);
}

function mask(bytes: readonly number[], bits: number): number[] {
  return bytes.map((each, index) => each & (0xff00 >> Math.max(0, Math.min(8, bits - index * 8))) & 0xff);
}

const masked = ({ ip, bits }: CelCidr) => new CelCidr(new CelIp(mask(ip.bytes, bits)), bits);

function containsIp({ ip, bits }: CelCidr, other: CelIp): boolean {
  return ip.bytes.length === other.bytes.length && sameBytes(mask(ip.bytes, bits), mask(other.bytes, bits));
}
const containsCidr = (outer: CelCidr, inner: CelCidr) => outer.bits <= inner.bits && containsIp(outer, inner.ip);

const isAllZero = (bytes: readonly number[]) => bytes.every((each) => each === 0);
function isLoopback({ bytes }: CelIp): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : isAllZero(bytes.slice(0, 15)) && bytes[15] === 1;
}
function isLinkLocalUnicast({ bytes: [first = 0, second = 0, ...rest] }: CelIp): boolean {
  return rest.length === 2 ? first === 169 && second === 254 : first === 0xfe && (second & 0xc0) === 0x80;
}
function isLinkLocalMulticast({ bytes: [first = 0, second = 0, third = 0, ...rest] }: CelIp): boolean {
  return rest.length === 1 ? first === 224 && second === 0 && third === 0 : first === 0xff && (second & 0x0f) === 2;
}
function isGlobalUnicast(ip: CelIp): boolean {
  const { bytes } = ip;
  const isMulticast = bytes.length === 4 ? ((bytes[0] as number) & 0xf0) === 0xe0 : bytes[0] === 0xff;
  const isBroadcast = bytes.length === 4 && bytes.every((each) => each === 255);
  return !isMulticast && !isBroadcast && !isAllZero(bytes) && !isLoopback(ip) && !isLinkLocalUnicast(ip);
}

const ipTest = (name: string, id: string, test: (ip: CelIp) => boolean) => fn(name, member(id, [ipType], bool, test));
const parsed = <T>(value: T | CelError, use: (value: T) => CelValue): CelValue =>
  value instanceof CelError ? value : use(value);

export const netLibrary: Library = {
  name: 'kubernetes.net',
  types: [ipType, cidrType],
  functions: [
    fn(
      'ip',
      overload('string_to_ip', [string], ipType, parseAddress),
      member('cidr_ip', [cidrType], ipType, ({ ip }: CelCidr) => ip),
    ),
    fn(
      'family',
      member('ip_family', [ipType], int, ({ bytes }: CelIp) => (bytes.length === 4 ? 4 : 6)),
    ),
    fn(
      'ip.isCanonical',
      overload('ip_is_canonical', [string], bool, (text: string) =>
        parsed(parseAddress(text), (ip) => String(ip) === text),
      ),
    ),
    fn(
      'isIP',
      overload('is_ip', [string], bool, (text: string) => parseAddress(text) instanceof CelIp),
    ),
    ipTest('isUnspecified', 'ip_is_unspecified', ({ bytes }) => isAllZero(bytes)),
    ipTest('isLoopback', 'ip_is_loopback', isLoopback),
    ipTest('isLinkLocalMulticast', 'ip_is_link_local_multicast', isLinkLocalMulticast),
    ipTest('isLinkLocalUnicast', 'ip_is_link_local_unicast', isLinkLocalUnicast),
    ipTest('isGlobalUnicast', 'ip_is_global_unicast', isGlobalUnicast),
    fn(
      'string',
      overload('ip_to_string', [ipType], string, String),
      overload('cidr_to_string', [cidrType], string, String),
    ),
    fn(
      'cidr',
      overload('string_to_cidr', [string], cidrType, (text: string) => {
        const cidr = parseCidr(text);
        return cidr instanceof CelError
          ? failure(`network address parse error during conversion from string: ${cidr.message}`)
          : cidr;
      }),
    ),
    fn(
      'isCIDR',
      overload('is_cidr', [string], bool, (text: string) => parseCidr(text) instanceof CelCidr),
    ),
    fn(
      'containsIP',
      member('cidr_contains_ip_string', [cidrType, string], bool, (cidr: CelCidr, text: string) =>
        parsed(parseAddress(text), (ip) => containsIp(cidr, ip)),
      ),
      member('cidr_contains_ip_ip', [cidrType, ipType], bool, containsIp),
    ),
    fn(
      'containsCIDR',
      member('cidr_contains_cidr_string', [cidrType, string], bool, (outer: CelCidr, text: string) =>
        parsed(parseCidr(text), (inner) => containsCidr(outer, inner)),
      ),
      member('cidr_contains_cidr', [cidrType, cidrType], bool, containsCidr),
    ),
    fn(
      'prefixLength',
      member('cidr_prefix_length', [cidrType], int, ({ bits }: CelCidr) => bits),
    ),
    fn('masked', member('cidr_masked', [cidrType], cidrType, masked)),
  ],
};
