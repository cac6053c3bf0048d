// Users whom a proxy in front of this server has authenticated: it shows a certificate of its own CA and names the user in
// X-Remote-* headers. Anybody else's headers of that name are worth nothing.
import type { IncomingHttpHeaders } from 'node:http';
import type { Identity } from './identity.ts';

export interface RequestHeaderConfig {
  /** Common names of the proxy's certificate; empty: any that the CA has signed. */
  allowedNames: readonly string[];
  usernameHeaders: readonly string[];
  groupHeaders: readonly string[];
  uidHeaders: readonly string[];
  extraHeaderPrefixes: readonly string[];
}

export const DEFAULT_REQUEST_HEADERS: RequestHeaderConfig = {
  allowedNames: ['front-proxy-client'],
  usernameHeaders: ['X-Remote-User'],
  groupHeaders: ['X-Remote-Group'],
  uidHeaders: ['X-Remote-Uid'],
  extraHeaderPrefixes: ['X-Remote-Extra-'],
};

/** The user of the headers, or undefined when they name none. `commonName` is that of the proxy's verified certificate. */
export function requestHeaderUser(
  config: RequestHeaderConfig,
  commonName: string,
  headers: IncomingHttpHeaders,
): Identity | undefined {
  if (config.allowedNames.length > 0 && !config.allowedNames.includes(commonName)) return undefined;
  const [name] = valuesOf(headers, config.usernameHeaders);
  if (!name) return undefined;
  const [uid] = valuesOf(headers, config.uidHeaders);
  const extra: Record<string, string[]> = {};
  for (const prefix of config.extraHeaderPrefixes) {
    const start = prefix.toLowerCase();
    for (const header of Object.keys(headers)) {
      if (!header.startsWith(start)) continue;
      const key = decodeKey(header.slice(start.length));
      extra[key] = [...(extra[key] ?? []), ...valuesOf(headers, [header])];
    }
  }
  return {
    name,
    groups: valuesOf(headers, config.groupHeaders),
    ...(uid && { uid }),
    ...(Object.keys(extra).length > 0 && { extra }),
  };
}

/** Node joins repeated headers with a comma and a space. */
function valuesOf(headers: IncomingHttpHeaders, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const value = headers[name.toLowerCase()];
    return value === undefined ? [] : Array.isArray(value) ? value : value.split(', ');
  });
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
