// Dockerfiles: what each instruction makes of an image, on a real disk; RUN is told what to have done.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dir, file, type ImageBench, imageBench, tar } from '../../testing/images.ts';
import { digestOf } from '../digest.ts';
import { buildImage } from './build.ts';

let bench: ImageBench;
beforeEach(() => {
  bench = imageBench();
});
afterEach(() => bench.end());

describe('build', () => {
  const build = (dockerfile: string, files: Record<string, string | Buffer> = {}, more: object = {}) =>
    buildImage(bench.images, { contextDirectory: bench.context(files), dockerfile, tags: ['built:1'], ...more });

  test('instructions shape the configuration', async () => {
    const image = await build(
      `ARG V=1
FROM scratch
ARG V=2
ENV A=\${V} B="x y"
ENV PATH=/bin:$A
COPY --chown=5:6 a.txt sub/ /srv/
WORKDIR /srv
WORKDIR data
COPY b* ./
LABEL k=v
EXPOSE 80 53/udp
USER 5
STOPSIGNAL SIGINT
VOLUME ["/data"]
ENTRYPOINT ["/bin/x"]
CMD -v $A`,
      { 'a.txt': 'A', 'sub/deep/c.txt': 'C', b1: '1', b2: '2' },
      { buildArgs: { V: '9' } },
    );
    expect(image.run).toEqual({
      Env: ['A=9', 'B=x y', 'PATH=/bin:9'],
      WorkingDir: '/srv/data',
      Labels: { k: 'v' },
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      User: '5',
      StopSignal: 'SIGINT',
      Volumes: { '/data': {} },
      Entrypoint: ['/bin/x'],
      Cmd: ['/bin/sh', '-c', '-v $A'],
    });
    const view = bench.images.view(image);
    expect(
      ['/srv/a.txt', '/srv/deep/c.txt', '/srv/data/b1', '/srv/data/b2'].map((path) => view.readText(path)),
    ).toEqual(['A', 'C', '1', '2']);
    expect(view.find('/srv/a.txt')?.stats).toMatchObject({ uid: 5, gid: 6 });
  });

  test('the same files give the same image', async () => {
    const text = 'FROM scratch\nCOPY . /\n';
    const first = await build(text, { a: '1', 'd/b': '2' });
    const second = await build(text, { 'd/b': '2', a: '1' });
    expect(second.id).toBe(first.id);
    expect((await build(text, { a: '1', 'd/b': '3' })).id).not.toBe(first.id);
  });

  test('.dockerignore hides, and its exceptions show', async () => {
    const image = await build('FROM scratch\nCOPY . /\n', {
      '.dockerignore': '# no\n*.log\n**/tmp\nsecret\n!keep.log\n!secret/public\n',
      'a.log': '',
      'keep.log': 'k',
      'x/tmp/y': '',
      'x/z': 'z',
      'secret/key': '',
      'secret/public': 'p',
    });
    const view = bench.images.view(image);
    expect(['/a.log', '/x/tmp', '/secret/key'].map((path) => view.find(path))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(['/keep.log', '/x/z', '/secret/public'].map((path) => view.readText(path))).toEqual(['k', 'z', 'p']);
  });

  test('a directory that is there keeps its mode, and links in the image are followed', async () => {
    await bench.imageOf('base', [
      tar([dir('tmp', { mode: 0o1777 }), dir('usr/bin'), { name: 'bin', type: 'symlink', linkname: 'usr/bin' }]),
    ]);
    const view = bench.images.view(await build('FROM base\nCOPY x /bin/x\nCOPY x /tmp/\n', { x: 'x' }));
    expect(view.find('/bin/x')?.path).toBe('/usr/bin/x');
    expect((view.find('/tmp')?.stats.mode ?? 0) & 0o7777).toBe(0o1777);
  });

  test.each([
    ['RUN true', 'line 1: RUN before FROM'],
    ['FROM nowhere', 'line 1: base image "nowhere" is not here'],
    ['FROM scratch\nCOPY --from=x a b', 'line 2: --from=x is neither a stage nor an image that is here'],
    [
      'FROM scratch AS a\nCOPY --from=late a b\nFROM scratch AS late\nFROM a',
      'line 2: --from=late: the stage does not come before',
    ],
    ['FROM scratch\nCOPY --parents a b', 'line 2: COPY --parents is not supported'],
    ['FROM --platform=linux/s390x scratch', 'line 1: --platform=linux/s390x: only linux/amd64 is built here'],
    ['FROM scratch AS a b', 'line 1: FROM takes an image'],
    ['FROM scratch\nHEALTHCHECK --interval=5x CMD x', 'line 2: --interval=5x is not a duration'],
    ['FROM scratch\nHEALTHCHECK maybe', 'line 2: HEALTHCHECK takes NONE, or CMD'],
    ['FROM scratch\nSHELL /bin/sh', 'line 2: SHELL takes a JSON array'],
    ['FROM scratch\nONBUILD FROM x', "line 2: FROM isn't allowed as an ONBUILD trigger"],
    ['FROM scratch\nRUN --mount=type=cache,target=/x make', 'line 2: RUN --mount is not supported'],
    ['FROM scratch\nENV A=${B:?missing}', 'line 2: B: missing'],
    [
      'FROM scratch\nADD https://example.com/x.git /',
      'line 2: "https://example.com/x.git": repositories cannot be added',
    ],
    ['FROM scratch\nCOPY missing /', 'line 2: "missing" is not in the build context'],
    ['FROM scratch\nCOPY ../x /', 'line 2: "../x" leaves the build context'],
    ['FROM scratch\nADD http://127.0.0.1:1/y /', 'line 2: "http://127.0.0.1:1/y": fetch failed'],
    ['FROM scratch\nCOPY link /', 'line 2: "link" leads out of the build context'],
    ['FROM scratch\nNONSENSE x', 'line 2: unknown instruction NONSENSE'],
    ['FROM scratch\nRUN true', 'line 2: RUN needs a running runtime'],
    ['', 'line 1: no FROM'],
  ])('%j is refused: %s', async (text, message) => {
    const root = bench.context({});
    symlinkSync('/etc/hostname', join(root, 'link'));
    await expect(buildImage(bench.images, { contextDirectory: root, dockerfile: text, tags: [] })).rejects.toThrow(
      message,
    );
  });

  test('RUN is cached by what it starts from', async () => {
    const ran: string[][] = [];
    const run = async (step: { args: string[]; store: (tar: AsyncIterable<Uint8Array>) => Promise<never> }) => {
      ran.push(step.args);
      return step.store(Readable.from([tar([file('made')])]));
    };
    const text = 'FROM scratch\nCOPY a /\nRUN make it\n';
    await build(text, { a: '1' }, { run });
    await build(text, { a: '1' }, { run });
    expect(ran).toEqual([['/bin/sh', '-c', 'make it']]);
    await build(text, { a: '2' }, { run });
    await build(text, { a: '2' }, { run, noCache: true });
    expect(ran.length).toBe(3);
    expect(existsSync(join(bench.directory, 'state/build-cache.json'))).toBe(true);
  });

  test('only the stages that are needed are built, each once', async () => {
    const steps: string[] = [];
    const text = `FROM scratch AS base
COPY a /from-base
FROM base AS Build
COPY a /built
FROM nowhere AS never
COPY a /x
FROM scratch
COPY --from=build /built /copied/
COPY --from=0 /from-base /copied/
COPY --from=build --chown=7 . /all
`;
    const image = await build(text, { a: 'A' }, { onProgress: ({ what }: { what: string }) => steps.push(what) });
    const view = bench.images.view(image);
    expect(['/copied/built', '/copied/from-base', '/all/built'].map((path) => view.readText(path))).toEqual([
      'A',
      'A',
      'A',
    ]);
    expect(view.find('/all/built')?.stats.uid).toBe(7);
    expect(steps.filter((step) => step.includes('COPY a'))).toEqual(
      ['build step 2/2 COPY a /built', 'base step 2/2 COPY a /from-base'].toSorted(),
    );
    const target = await build(text, { a: 'A' }, { target: 'base' });
    expect(bench.images.view(target).readText('/from-base')).toBe('A');
    expect(target.diffIds.length).toBe(1);
    await expect(build(text, { a: 'A' }, { target: 'none' })).rejects.toThrow('target "none" is no stage');
  });

  test('COPY --from reads an image with its whiteouts, links and owners', async () => {
    await bench.imageOf('source:1', [
      tar([dir('d'), file('d/gone'), file('d/kept', 'old'), file('d/owned', 'o', { uid: 3, gid: 4 })]),
      tar([
        dir('d'),
        file('d/.wh.gone', ''),
        file('d/kept', 'new'),
        { name: 'd/link', type: 'symlink', linkname: 'kept' },
      ]),
    ]);
    const view = bench.images.view(
      await build('FROM scratch\nCOPY --from=source:1 /d /to\nCOPY --from=source:1 /d/k* /d/link /files/\n'),
    );
    expect(view.list('/to')).toEqual(['kept', 'link', 'owned']);
    expect(view.readText('/to/kept')).toBe('new');
    expect(view.at('/to/link')?.stats.isSymbolicLink()).toBe(true);
    expect(view.find('/to/owned')?.stats).toMatchObject({ uid: 3, gid: 4 });
    expect(view.list('/files')).toEqual(['kept', 'link']);
    expect(view.at('/files/link')?.stats.isFile()).toBe(true);
  });

  test('variables: of the platform, with defaults, before FROM, in braces', async () => {
    const image = await build(
      `ARG TAG=1
FROM scratch AS a1
FROM a\${TAG:-2}
ARG TAG TARGETARCH
ARG UNSET FILE=lib.tar.gz
ENV A=\${TAG}-\${TARGETARCH} B=\${UNSET:-\${TAG:+set}} C=\\$TAG D=\${FILE%%.*} E=\${FILE%.*} F=\${FILE#*.} G=\${FILE//./_} H=\${UNSET-x}
`.replaceAll('\\$', '$'),
    );
    expect(image.run.Env).toEqual([
      'A=1-amd64',
      'B=set',
      'C=1',
      'D=lib',
      'E=lib.tar',
      'F=tar.gz',
      'G=lib_tar_gz',
      'H=x',
    ]);
  });

  test('SHELL, HEALTHCHECK and ONBUILD are kept; what was left for children runs in them once', async () => {
    const parent = await build(`FROM scratch
MAINTAINER somebody
SHELL ["/bin/bash", "-c"]
HEALTHCHECK --interval=1m30s --retries=3 CMD curl localhost
ONBUILD COPY a /left
ONBUILD ENV LEFT=yes
CMD run me`);
    expect(parent.run).toMatchObject({
      Shell: ['/bin/bash', '-c'],
      Cmd: ['/bin/bash', '-c', 'run me'],
      Healthcheck: { Test: ['CMD', '/bin/bash', '-c', 'curl localhost'], Interval: 90e9, Retries: 3 },
      OnBuild: ['COPY a /left', 'ENV LEFT=yes'],
    });
    expect(bench.images.content.readJson(parent.config.digest)).toMatchObject({ author: 'somebody' });
    bench.images.catalog.tag(parent.id, 'parent:1');
    const child = await build('FROM parent:1\nHEALTHCHECK NONE\n', { a: 'A' });
    expect(child.run.OnBuild).toBeUndefined();
    expect(child.run).toMatchObject({ Env: ['LEFT=yes'], Healthcheck: { Test: ['NONE'] } });
    expect(bench.images.view(child).readText('/left')).toBe('A');
    bench.images.catalog.tag(child.id, 'child:1');
    expect((await build('FROM child:1\n', {})).diffIds).toEqual(child.diffIds);
    await expect(build('FROM parent:1\n')).rejects.toThrow('line 1: "a" is not in the build context');
  });

  test('here-documents are files to COPY and programs to RUN', async () => {
    const ran: { args: string[]; script: string | undefined }[] = [];
    const run = async (step: (typeof ran)[0] & { store: (tar: AsyncIterable<Uint8Array>) => Promise<never> }) => {
      ran.push({ args: step.args, script: step.script });
      return step.store(Readable.from([tar([file(`made-${ran.length}`)])]));
    };
    const image = await build(
      `FROM scratch
ARG WHO=world
COPY <<one.txt <<-"two.txt" /files/
hello $WHO
one.txt
	raw $WHO
	two.txt
RUN <<EOF
# a comment of the shell
echo a
EOF
RUN <<EOF
#!/usr/bin/python3
print(1)
EOF
RUN cat <<EOF > /x
text
EOF
`,
      {},
      { run },
    );
    const view = bench.images.view(image);
    expect([view.readText('/files/one.txt'), view.readText('/files/two.txt')]).toEqual(['hello world\n', 'raw $WHO\n']);
    expect(ran).toEqual([
      { args: ['/bin/sh', '-c', '# a comment of the shell\necho a\n'], script: undefined },
      { args: ['/bin/sh', '-c', '#!/usr/bin/python3\nprint(1)\n'], script: '#!/usr/bin/python3\nprint(1)\n' },
      { args: ['/bin/sh', '-c', 'cat <<EOF > /x\ntext\nEOF'], script: undefined },
    ]);
  });

  test('ADD unpacks archives, whatever they are packed with, and copies what only looks like one', async () => {
    const packed = tar([
      dir('in', { mode: 0o700 }),
      file('in/x', 'X', { uid: 9, mtime: 5 }),
      { name: 'in/l', type: 'link', linkname: 'in/x' },
    ]);
    const pack = (program: string) => execFileSync(program, ['-c'], { input: packed });
    const image = await build('FROM scratch\nWORKDIR /w\nADD *.tar* only.gz /to/\nCOPY a.tar /whole\n', {
      'a.tar': packed,
      'only.gz': gzipSync('no tar'),
    });
    const view = bench.images.view(image);
    expect(view.find('/to/in/x')?.stats).toMatchObject({ uid: 9, mtimeMs: 0 });
    expect((view.find('/to/in')?.stats.mode ?? 0) & 0o7777).toBe(0o700);
    expect(view.readText('/to/in/l')).toBe('X');
    expect(view.find('/to/only.gz')?.stats.isFile()).toBe(true);
    expect(view.find('/whole')?.stats.size).toBe(packed.length);
    for (const [name, bytes] of [
      ['gz', gzipSync(packed)],
      ['zst', zstdCompressSync(packed)],
      ['xz', pack('xz')],
      ['bz2', pack('bzip2')],
    ] as const) {
      const one = await build(`FROM scratch\nADD a.tar.${name} /\n`, { [`a.tar.${name}`]: bytes });
      expect(bench.images.view(one).readText('/in/x'), name).toBe('X');
    }
    const hostile = { 'evil.tar': tar([file('../../etc/passwd', 'x')]) };
    await expect(build('FROM scratch\nADD evil.tar /\n', hostile)).rejects.toThrow('leaves the root');
  });

  test('ADD fetches a URL, and compares it with its checksum', async () => {
    const server = createServer((request, response) => {
      response.statusCode = request.url?.startsWith('/files/') ? 200 : 404;
      response.end('fetched');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const right = digestOf('fetched');
      const view = bench.images.view(
        await build(`FROM scratch\nADD --checksum=${right} ${base}/files/a.txt?q /got/\n`),
      );
      expect(view.readText('/got/a.txt')).toBe('fetched');
      expect((view.find('/got/a.txt')?.stats.mode ?? 0) & 0o777).toBe(0o600);
      const wrong = `FROM scratch\nADD --checksum=${digestOf('other')} ${base}/files/a.txt /\n`;
      await expect(build(wrong)).rejects.toThrow(`has ${right}, want ${digestOf('other')}`);
      await expect(build(`FROM scratch\nADD ${base}/none /\n`)).rejects.toThrow('404 Not Found');
    } finally {
      server.close();
    }
  });
});
