// Addresses of one host's pods. Which are taken is derived from the sandboxes' own records, so nothing can leak; the
// next one is looked for after the last, so that an address is not used again at once.

export interface Subnet {
  /** First address as a number, and how many there are. */
  base: number;
  size: number;
  prefix: number;
}

/** `10.244.0.0/24`; refuses anything but IPv4 with a prefix of 8 to 29. */
export function parseSubnet(cidr: string): Subnet {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  const parts = match?.slice(1).map(Number) ?? [];
  const prefix = parts[4] ?? 0;
  if (!match || parts.slice(0, 4).some((part) => part > 255) || prefix < 8 || prefix > 29)
    throw new Error(`pod CIDR "${cidr}" is not an IPv4 network with a prefix of 8 to 29`);
  const size = 2 ** (32 - prefix);
  const address = parts.slice(0, 4).reduce((sum, part) => sum * 256 + part, 0);
  return { base: address - (address % size), size, prefix };
}

export const formatAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');

export const gatewayOf = (subnet: Subnet): string => formatAddress(subnet.base + 1);

/** A stable hardware address, so that neighbours' caches stay right when an address is used again. */
export const macOf = (address: string): string =>
  `0a:58:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;

export class AddressPool {
  #subnet: Subnet;
  #taken = new Set<string>();
  #next = 2;

  constructor(subnet: Subnet, taken: Iterable<string>) {
    this.#subnet = subnet;
    for (const each of taken) this.#taken.add(each);
  }

  /** Throws when all are taken. The first is the gateway's, the last the broadcast address. */
  take(): string {
    const count = this.#subnet.size - 3;
    for (let tried = 0; tried < count; tried++) {
      const offset = 2 + ((this.#next - 2 + tried) % count);
      const address = formatAddress(this.#subnet.base + offset);
      if (this.#taken.has(address)) continue;
      this.#taken.add(address);
      this.#next = offset + 1;
      return address;
    }
    throw new Error(`no address is left in ${formatAddress(this.#subnet.base)}/${this.#subnet.prefix}`);
  }

  give(address: string): void {
    this.#taken.delete(address);
  }

  get taken(): number {
    return this.#taken.size;
  }
}
