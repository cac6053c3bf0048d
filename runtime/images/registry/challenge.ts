// WWW-Authenticate, as RFC 9110 section 11.6.1 has it: a list of schemes, each with parameters.

export interface Challenge {
  /** Lower case. */
  scheme: string;
  parameters: Record<string, string>;
}

export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  const token = /\s*,?\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]+))?/y;
  for (;;) {
    const match = token.exec(header);
    if (!match) return challenges;
    const [, name, value] = match as unknown as [string, string, string | undefined];
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else {
      const last = challenges.at(-1);
      if (last)
        last.parameters[name.toLowerCase()] = value.startsWith('"')
          ? value.slice(1, -1).replace(/\\(.)/g, '$1')
          : value;
    }
  }
}
