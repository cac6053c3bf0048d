// What /version says: the API level that is served, and what serves it.

const API_LEVEL = { major: '1', minor: '36', patch: '2' };

export interface ServerVersion {
  /** Of Sampan. */
  version: string;
}

/** Upstream's fields; gitVersion is a semantic version with ours as build metadata. */
export function versionInfo({ version }: ServerVersion): Record<string, string> & { gitVersion: string } {
  const { major, minor, patch } = API_LEVEL;
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  return {
    major,
    minor,
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
    gitVersion: `v${major}.${minor}.${patch}+sampan.${version}`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: `node-${process.version}`,
    compiler: 'v8',
    platform: `${process.platform}/${arch}`,
  };
}
