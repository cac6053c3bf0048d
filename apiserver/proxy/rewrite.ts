// Links and redirects of a backend that is reached below a longer path: `/login` becomes `<prefix>/login`. The rules are
// those of upstream's proxy transport; HTML is rewritten tag by tag as it passes, everything but the values stays as it is.
import { posix } from 'node:path';
import { Transform, type TransformCallback } from 'node:stream';

export interface LinkPlace {
  /** The client's path up to where the backend's own path begins. */
  prefix: string;
  /** `host:port` of the backend, as its own absolute links may name it. */
  backendHost: string;
  /** The host that the client named. */
  requestHost: string;
}

const URL_PARTS = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/s;

/** Links to other hosts and relative ones stay; absolute paths, and links to the backend itself, go below the prefix. */
export function rewriteUrl(link: string, place: LinkPlace): string {
  const [, scheme = '', host = '', path = '', rest = ''] = URL_PARTS.exec(link) ?? [];
  const isElsewhere = host !== '' && host !== place.backendHost && host !== place.requestHost;
  if (isElsewhere || !path.startsWith('/')) return link;
  const origin = host !== '' && host === place.requestHost ? `${scheme ? `${scheme}:` : ''}//${host}` : '';
  const below = path.startsWith(place.prefix) ? path : posix.join(place.prefix, path);
  return `${origin}${below}${rest}`;
}

/** Attributes that hold a URL, by element. */
const LINKS: Readonly<Record<string, readonly string[]>> = {
  a: ['href'],
  applet: ['codebase'],
  area: ['href'],
  audio: ['src'],
  base: ['href'],
  blockquote: ['cite'],
  body: ['background'],
  button: ['formaction'],
  command: ['icon'],
  del: ['cite'],
  embed: ['src'],
  form: ['action'],
  frame: ['longdesc', 'src'],
  head: ['profile'],
  html: ['manifest'],
  iframe: ['longdesc', 'src'],
  img: ['longdesc', 'src', 'usemap'],
  input: ['src', 'usemap', 'formaction'],
  ins: ['cite'],
  link: ['href'],
  object: ['classid', 'codebase', 'data', 'usemap'],
  q: ['cite'],
  script: ['src'],
  source: ['src'],
  video: ['poster', 'src'],
};

/** Elements whose content is text, whatever it looks like. */
const TEXT_ELEMENTS = new Set(['script', 'style', 'textarea', 'title', 'xmp', 'iframe', 'noembed', 'noframes']);
const TAG_NAME = /^<([a-zA-Z][a-zA-Z0-9]*)(?=[\s/>])/;
const ATTRIBUTE = /([\s"'/])([a-zA-Z]+)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)/g;

/** One start tag, from `<` to `>`. */
export function rewriteTag(tag: string, place: LinkPlace): string {
  const name = TAG_NAME.exec(tag)?.[1]?.toLowerCase();
  const attributes = name === undefined ? undefined : LINKS[name];
  if (!attributes) return tag;
  return tag.replace(ATTRIBUTE, (whole, before: string, attribute: string, equals: string, value: string) => {
    if (!attributes.includes(attribute.toLowerCase())) return whole;
    const quote = value[0] === '"' || value[0] === "'" ? value[0] : '';
    const link = quote ? value.slice(1, -1) : value;
    return `${before}${attribute}${equals}${quote}${rewriteUrl(link.trim(), place)}${quote}`;
  });
}

/** What is held back of a tag that does not end; beyond it the tag passes as it is. */
const HELD_LIMIT = 64 * 1024;

/** Bytes are read as latin1, which loses none of them: tags and paths are ASCII in every encoding that browsers send. */
export class LinkRewriter extends Transform {
  #place: LinkPlace;
  #held = '';
  /** What ends the text that we are in: `-->` or `</script`. Empty outside of any. */
  #until = '';

  constructor(place: LinkPlace) {
    super();
    this.#place = place;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const { out, rest } = this.#rewrite(this.#held + chunk.toString('latin1'));
    this.#held = rest;
    done(null, Buffer.from(out, 'latin1'));
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from(this.#held, 'latin1'));
  }

  #rewrite(text: string): { out: string; rest: string } {
    let out = '';
    let at = 0;
    for (;;) {
      if (this.#until !== '') {
        const end = text.toLowerCase().indexOf(this.#until, at);
        if (end < 0) {
          const keep = Math.max(at, text.length - this.#until.length);
          return { out: out + text.slice(at, keep), rest: text.slice(keep) };
        }
        out += text.slice(at, end + this.#until.length);
        at = end + this.#until.length;
        this.#until = '';
      }
      const open = text.indexOf('<', at);
      if (open < 0) return { out: out + text.slice(at), rest: '' };
      out += text.slice(at, open);
      at = open;
      if (text.startsWith('<!--', at)) {
        this.#until = '-->';
        out += '<!--';
        at += 4;
        continue;
      }
      const close = endOfTag(text, at);
      if (close < 0) {
        const tooLong = text.length - at > HELD_LIMIT;
        return tooLong ? { out: out + text.slice(at), rest: '' } : { out, rest: text.slice(at) };
      }
      const tag = text.slice(at, close + 1);
      out += rewriteTag(tag, this.#place);
      at = close + 1;
      const name = TAG_NAME.exec(tag)?.[1]?.toLowerCase() ?? '';
      if (TEXT_ELEMENTS.has(name)) this.#until = `</${name}`;
    }
  }
}

/** The `>` that ends the tag at `start`: not one inside quotes. */
function endOfTag(text: string, start: number): number {
  let quote = '';
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] as string;
    if (quote !== '') {
      if (char === quote) quote = '';
    } else if ((char === '"' || char === "'") && text[at - 1] === '=') quote = char;
    else if (char === '>') return at;
  }
  return -1;
}
