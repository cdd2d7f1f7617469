import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What a test answers in place of the hub; undefined: as the hub does. */
export type OwnAnswer = (
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
) => boolean | undefined | Promise<boolean | undefined>;

/**
 * Stands in for the hub, as its API is documented for `huggingface_hub` and git-lfs: who one is, repositories, and commits with files in
 * the commit or in storage. With `partBytes` storage takes parts of so many bytes, with `usesXet` it is Xet's.
 */
export async function createStandInHub({ role = 'write', partBytes = 0, usesXet = false } = {}) {
  const repositories = new Map<string, { isPrivate: boolean; files: Map<string, Buffer>; commits: string[] }>();
  const stored = new Map<string, Buffer>();
  const parts = new Map<string, Map<number, Buffer>>();
  const heard: { readonly method: string; readonly path: string; readonly authorization: string | undefined }[] = [];
  const state: { own: OwnAnswer | undefined; cards: Record<string, unknown> } = { own: undefined, cards: {} };

  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const { pathname: path, searchParams } = new URL(url, endpoint);
    heard.push({ method, path, authorization: headers.authorization });
    const body = await buffer(request);
    if (await state.own?.(request, response, body)) return;
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    const refuse = (status: number, error: string) => json({ error }, status);
    if (path.startsWith('/storage/')) return store(path, searchParams, method, headers, body, response);
    if (path.startsWith('/cas/')) return storeChunks(path, headers.authorization, body, response);
    if (headers.authorization !== 'Bearer hf_secretOfTheUser') return void refuse(401, 'Invalid username or password.');
    if (path === '/api/whoami-v2')
      return void json({ type: 'user', name: 'ada', auth: { type: 'access_token', accessToken: { role } }, orgs: [] });
    if (path === '/api/repos/create') {
      const { name, organization, visibility, type = 'model' } = JSON.parse(String(body)) as Record<string, string>;
      const id = `${organization}/${name}`;
      if (organization !== 'ada') return void refuse(403, 'You do not have the rights to create a model here');
      if (type !== 'model') return void refuse(400, `type ${type}`);
      if (repositories.has(id))
        return void json({ error: 'You already created this model repo', url: `${endpoint}/${id}` }, 409);
      repositories.set(id, { isPrivate: visibility === 'private', files: new Map(), commits: [] });
      return void json({ url: `${endpoint}/${id}`, id });
    }
    const [, id = '', rest = ''] =
      /^\/(?:api\/models\/)?([^/]+\/[^/]+?)(?:\.git)?\/((?:revision|preupload|commit|raw|info)\/.*)$/.exec(path) ?? [];
    if (rest.startsWith('revision/') && state.cards[id] !== undefined)
      return void json({ _id: '1', id, private: false, cardData: state.cards[id] });
    const repository = repositories.get(id);
    if (repository === undefined) return void refuse(404, 'Repository not found');
    if (rest.startsWith('revision/')) return void json({ _id: '1', id, private: repository.isPrivate });
    if (rest.startsWith('raw/main/'))
      return void response.writeHead(repository.files.has(rest.slice('raw/main/'.length)) ? 200 : 404).end();
    if (rest === 'preupload/main') {
      const { files } = JSON.parse(String(body)) as { files: { path: string }[] };
      const isLarge = (name: string) => /\.(safetensors|gguf)$/.test(name);
      return void json({
        files: files.map(({ path: name }) => ({
          path: name,
          uploadMode: isLarge(name) ? 'lfs' : 'regular',
          shouldIgnore: false,
        })),
      });
    }
    if (rest === 'info/lfs/objects/batch') {
      const { objects } = JSON.parse(String(body)) as { objects: { oid: string; size: number }[] };
      const transfer = usesXet ? 'xet' : partBytes > 0 ? 'multipart' : 'basic';
      return void json({ transfer, objects: objects.map(uploadOf) });
    }
    if (rest === 'commit/main') return void json(commit(id, repository, String(body)));
    refuse(404, `${method} ${path}`);
  }

  function uploadOf({ oid, size }: { oid: string; size: number }) {
    if (stored.has(oid)) return { oid, size };
    const href = `${endpoint}/storage/${oid}?signature=ofTheStorage`;
    const xet = {
      'X-Xet-Cas-Url': `${endpoint}/cas`,
      'X-Xet-Access-Token': 'ofTheStorage',
      'X-Xet-Token-Expiration': String(Math.floor(Date.now() / 1000) + 3600),
    };
    if (usesXet) return { oid, size, actions: { upload: { href, header: xet } } };
    if (partBytes === 0) return { oid, size, actions: { upload: { href } } };
    const count = Math.ceil(size / partBytes);
    const urls = Array.from({ length: count }, (_, i) => [String(i + 1).padStart(5, '0'), `${href}&part=${i + 1}`]);
    return {
      oid,
      size,
      actions: { upload: { href, header: { chunk_size: String(partBytes), ...Object.fromEntries(urls) } } },
    };
  }

  function store(
    path: string,
    query: URLSearchParams,
    method: string,
    headers: IncomingMessage['headers'],
    body: Buffer,
    response: ServerResponse,
  ): void {
    const oid = path.slice('/storage/'.length);
    // What has the signature takes no token, and a length is asked for.
    const isRight = headers.authorization === undefined && headers['content-length'] === String(body.length);
    if (!isRight) return void response.writeHead(400).end('<Error>SignatureDoesNotMatch</Error>');
    const part = Number(query.get('part'));
    const known = parts.get(oid) ?? new Map<number, Buffer>();
    parts.set(oid, known);
    if (part > 0) return void response.writeHead(200, { ETag: `"${known.set(part, body).size}"` }).end();
    const whole =
      method === 'PUT' ? body : Buffer.concat([...known].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
    if (createHash('sha256').update(whole).digest('hex') !== oid)
      return void response.writeHead(400).end('other bytes');
    stored.set(oid, whole);
    response.writeHead(200, { ETag: '"1"' }).end();
  }

  /** https://huggingface.co/docs/xet: a xorb is chunks, each behind a version, its packed length, a scheme (0: as it is) and its length. */
  function storeChunks(path: string, authorization: string | undefined, body: Buffer, response: ServerResponse): void {
    if (authorization !== 'Bearer ofTheStorage') return void response.writeHead(401).end();
    if (path.startsWith('/cas/v1/chunks/')) return void response.writeHead(404).end();
    if (path.startsWith('/cas/v1/xorbs/default/')) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < body.length; ) {
        const length = body.readUIntLE(at + 1, 3);
        if (body[at] !== 0 || body[at + 4] !== 0) return void response.writeHead(400).end('a packed chunk');
        chunks.push(body.subarray(at + 8, at + 8 + length));
        at += 8 + length;
      }
      const bytes = Buffer.concat(chunks);
      stored.set(createHash('sha256').update(bytes).digest('hex'), bytes);
    }
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"was_inserted": true, "result": 1}');
  }

  function commit(id: string, { files, commits }: { files: Map<string, Buffer>; commits: string[] }, lines: string) {
    for (const line of lines.split('\n').filter(Boolean)) {
      const { key, value } = JSON.parse(line) as { key: string; value: Record<string, string> };
      if (key === 'header') commits.push(value['summary']!);
      if (key === 'file') files.set(value['path']!, Buffer.from(value['content']!, 'base64'));
      if (key !== 'lfsFile') continue;
      const bytes = stored.get(value['oid']!);
      if (bytes === undefined) throw new Error(`${value['path']} was not uploaded`);
      files.set(value['path']!, bytes);
    }
    return { commitOid: `c${commits.length}`, commitUrl: `${endpoint}/${id}/commit/c${commits.length}` };
  }

  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    endpoint,
    repositories,
    heard,
    state,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
