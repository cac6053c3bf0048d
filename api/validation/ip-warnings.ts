// Addresses that are accepted, and should be written in another way: texts of `Warning:` headers
// (k8s.io/apimachinery/pkg/util/validation GetWarningsForIP, GetWarningsForCIDR). What is no address gives none.
import { canonicalCidrOf, canonicalIp, parseIp, singleCidr, validCidr, validIp } from './ip.ts';

export function ipWarnings(address: string | undefined, field: string): string[] {
  const parts = parseIp(address ?? '');
  if (!address || !parts) return [];
  const canonical = canonicalIp(address) as string;
  if ([...validIp(address, field)].length > 0) {
    // IPv4 in IPv6 is written as the IPv4 address that it is.
    const preferred = parts.length === 8 && parts[5] === 0xffff ? mappedIpv4(parts) : canonical;
    return [nonStandard('IP address', address, preferred, field)];
  }
  return parts.length === 8 && canonical !== address ? [notRfc5952('IPv6 address', address, canonical, field)] : [];
}

export function cidrWarnings(cidr: string, field: string): string[] {
  const found = [...validCidr(cidr, field)];
  if (found.some((each) => !each.isNewRule)) return [];
  const [address = '', length = ''] = cidr.split('/');
  const network = canonicalCidrOf(cidr);
  const host = `${canonicalIp(address)}/${Number(length)}`;
  const isOfOtherForm = found.some((each) => !each.body.includes('bits set'));
  const warnings: string[] = [];
  if (host !== network) {
    const single = singleCidr(canonicalIp(address) as string);
    const texts = [cidr, network, single].map((each) => JSON.stringify(each));
    warnings.push(
      `${field}: CIDR value ${texts[0]} is ambiguous in this context (should be ${texts[1]} or ${texts[2]}?)`,
    );
  }
  if (isOfOtherForm) warnings.push(nonStandard('CIDR value', cidr, network, field));
  else if (address.includes(':') && host !== cidr) warnings.push(notRfc5952('IPv6 CIDR value', cidr, host, field));
  return warnings;
}

const mappedIpv4 = (parts: readonly number[]): string =>
  parts
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');

const nonStandard = (what: string, value: string, preferred: string, field: string) =>
  `${field}: non-standard ${what} ${JSON.stringify(value)} will be considered invalid in a future Kubernetes release: use ${JSON.stringify(preferred)}`;

const notRfc5952 = (what: string, value: string, preferred: string, field: string) =>
  `${field}: ${what} ${JSON.stringify(value)} should be in RFC 5952 canonical format (${JSON.stringify(preferred)})`;
