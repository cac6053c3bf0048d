import { expect, it } from 'vitest';
import { credentialsByServer } from './credentials.ts';

const users = (...names: string[]) => new Map(names.map((name) => [name, { token: name }]));
const all = users('hook.example.com', 'a.ns.svc:8443', '*.ns.svc', '*.example.com:9', '*.svc', '*', 'me');

it.each([
  ['hook.example.com:443', 'hook.example.com'],
  ['hook.example.com:444', '*'],
  ['a.ns.svc:8443', 'a.ns.svc:8443'],
  ['b.ns.svc:443', '*.ns.svc'],
  ['b.other.svc:443', '*.svc'],
  ['b.ns.svc:8443', '*'],
  ['x.example.com:9', '*.example.com:9'],
  ['[::1]:443', '*'],
])('a webhook at %s is shown the user %s', (server, user) => {
  expect(credentialsByServer(all, 'me')(server)).toEqual({ token: user });
});

it('else that of the context, else nobody', () => {
  expect(credentialsByServer(users('me', 'other'), 'me')('a:443')).toEqual({ token: 'me' });
  expect(credentialsByServer(users('me', 'other'), undefined)('a:443')).toBeUndefined();
});
