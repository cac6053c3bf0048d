// Who runs it: uid, gid and supplementary groups from CRI's run_as_* fields or the image's USER, names looked up in the
// image's own /etc/passwd and /etc/group.
import type { LinuxContainerSecurityContext } from '../../../proto/cri-types.ts';
import type { RunConfig } from '../../images/oci.ts';
import { CriError, invalidField } from '../errors.ts';
import { status } from '../../../lib/grpc/status.ts';

export interface ResolvedUser {
  uid: number;
  gid: number;
  /** Without duplicates, ascending. */
  groups: number[];
  home: string;
}

export interface UserDatabase {
  passwd: string | undefined;
  group: string | undefined;
}

interface PasswdEntry {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface GroupEntry {
  name: string;
  gid: number;
  members: string[];
}

function parsePasswd(text: string | undefined): PasswdEntry[] {
  return rows(text, 6).map(([name, , uid, gid, , home]) => ({
    name: name as string,
    uid: Number(uid),
    gid: Number(gid),
    home: home || '/',
  }));
}

function parseGroup(text: string | undefined): GroupEntry[] {
  return rows(text, 3).map(([name, , gid, members]) => ({
    name: name as string,
    gid: Number(gid),
    members: members ? members.split(',') : [],
  }));
}

function rows(text: string | undefined, fields: number): string[][] {
  return (text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'))
    .filter((row) => row.length >= fields);
}

const maxId = 2 ** 32 - 2;

/** `user` is `name`, `uid`, `name:group` or `uid:gid`; '' is root. */
export function resolveUserString(user: string, database: UserDatabase): ResolvedUser & { name: string | undefined } {
  const passwd = parsePasswd(database.passwd);
  const group = parseGroup(database.group);
  const [who = '', which = ''] = user.split(':');
  let entry: PasswdEntry | undefined;
  let uid = 0;
  if (/^\d+$/.test(who) || who === '') {
    uid = Number(who || 0);
    entry = passwd.find((p) => p.uid === uid);
  } else {
    entry = passwd.find((p) => p.name === who);
    if (!entry) throw new CriError(status.UNKNOWN, `unable to find user ${who}: no matching entries in passwd file`);
    uid = entry.uid;
  }
  let gid = entry?.gid ?? 0;
  if (which !== '') {
    const named = group.find((g) => g.name === which);
    if (named) gid = named.gid;
    else if (/^\d+$/.test(which)) gid = Number(which);
    else throw new CriError(status.UNKNOWN, `unable to find group ${which}: no matching entries in group file`);
  }
  if (uid > maxId || gid > maxId) throw new CriError(status.INVALID_ARGUMENT, `user ${user} is out of range`);
  const groups = entry ? group.filter((g) => g.members.includes((entry as PasswdEntry).name)).map((g) => g.gid) : [];
  return { uid, gid, groups: sorted([gid, ...groups]), home: entry?.home ?? '/', name: entry?.name };
}

/** The user of a container. `readDatabase` is called only when it is needed. */
export function containerUser(
  context: LinuxContainerSecurityContext,
  image: RunConfig,
  readDatabase: () => UserDatabase,
): ResolvedUser {
  const path = 'config.linux.security_context';
  const uid = context.runAsUser?.value;
  const gid = context.runAsGroup?.value;
  const username = context.runAsUsername ?? '';
  for (const [field, value] of [
    ['run_as_user', uid],
    ['run_as_group', gid],
  ] as const) {
    if (value !== undefined && (value < 0 || value > maxId))
      throw invalidField(`${path}.${field}`, `${value} is out of range`);
  }
  if (gid !== undefined && uid === undefined && username === '') {
    throw invalidField(`${path}.run_as_group`, 'a group needs run_as_user or run_as_username');
  }
  let who = username || (uid === undefined ? '' : String(uid));
  if (who === '') who = image.User ?? '';
  else if (gid !== undefined) who = `${who}:${gid}`;
  const user = resolveUserString(who, readDatabase());
  const asked = context.supplementalGroups ?? [];
  for (const group of asked) {
    if (group < 0 || group > maxId) throw invalidField(`${path}.supplemental_groups`, `${group} is out of range`);
  }
  const fromImage = context.supplementalGroupsPolicy === 'Strict' ? [user.gid] : user.groups;
  return { uid: user.uid, gid: user.gid, groups: sorted([...fromImage, ...asked]), home: user.home };
}

function sorted(groups: readonly number[]): number[] {
  return [...new Set(groups)].sort((a, b) => a - b);
}
