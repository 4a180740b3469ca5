// SPDX-License-Identifier: PostgreSQL
// Single sign-on: access tokens of an identity provider. First a real one (npm's oidc-provider), which makes its
// tokens as providers do; then one of a few lines, for what a real one would never do.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import Provider from 'oidc-provider';
import { freePort, refused, Socket, unique, until, within, World } from './harness.js';
import { Stream } from './stream.js';

const makeKey = kid => ({ kid, ...generateKeyPairSync('rsa', { modulusLength: 2048 }) });
const publicJwk = ({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' });
const privateJwk = ({ kid, privateKey }) => ({ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' });
const seconds = () => Math.floor(Date.now() / 1000);

// The promise of a Bearer socket's close code; such a socket is told nothing else.
async function bearerCode(world, token)
{
	const socket = new Socket(world.url, { Authorization: `Bearer ${token}` });
	return (await socket.ending()).code;
}

// authenticate on a socket of its own, which is left open.
async function enter(world, token)
{
	const socket = await world.connect();
	return { socket, ...await socket.call('authenticate', { token }) };
}

async function enterRefused(world, token)
{
	const socket = await world.connect();
	const error = await refused(socket.call('authenticate', { token }));
	await socket.close();
	return error;
}

const knobs = (issuer, others = {}) => ({
	oidc_issuer: issuer, oidc_audience: 'chat', oidc_http: 'loopback', oidc_leeway: '0s', log_level: 'debug', ...others
});

async function restart(world, others)
{
	assert.equal((await world.gateway.stop()).code, 0);
	world.knobs = others;
	await world.startGateway();
}

// oidc-provider on a port. Clients log in for themselves: the subject is the client.
class RealProvider
{
	constructor(port)
	{
		this.port = port;
		this.issuer = `http://127.0.0.1:${port}`;
		this.key = makeKey('first');
	}

	async start()
	{
		const resource = (_, indicator) => ({
			audience: 'chat', scope: 'chat', accessTokenFormat: 'jwt', accessTokenTTL: indicator === 'urn:chat:short' ? 4 : 300
		});
		const provider = new Provider(this.issuer, {
			jwks: { keys: [privateJwk(this.key)] },
			cookies: { keys: ['not used'] },
			clients: ['alice', 'bob', 'carol', 'dave'].map(client_id => ({
				client_id, client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: []
			})),
			features: {
				clientCredentials: { enabled: true },
				devInteractions: { enabled: false },
				resourceIndicators: { enabled: true, defaultResource: () => 'urn:chat', getResourceServerInfo: resource }
			},
			ttl: { ClientCredentials: (_, token) => token.resourceServer.accessTokenTTL },
			extraTokenClaims: (_, token) => ({ name: `${token.clientId} of SSO`, preferred_username: `sso.${token.clientId}` })
		});
		this.server = provider.listen(this.port, '127.0.0.1');
		// Or the next request may go out on a connection that stop() is closing.
		this.server.prependListener('request', (_, response) => response.setHeader('Connection', 'close'));
		await once(this.server, 'listening');
	}

	async stop()
	{
		this.server.close();
		this.server.closeAllConnections();
		await once(this.server, 'close');
	}

	async token(client, resource = 'urn:chat')
	{
		const answer = await fetch(`${this.issuer}/token`, {
			method: 'POST',
			headers: { Authorization: `Basic ${Buffer.from(`${client}:secret`).toString('base64')}` },
			body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'chat', resource })
		});
		assert.equal(answer.status, 200);
		return (await answer.json()).access_token;
	}
}

describe('single sign-on with a real provider', () => {
	let world;
	let provider;

	before(async () => {
		provider = new RealProvider(await freePort());
		await provider.start();
		world = await World.start({ knobs: knobs(provider.issuer, { oidc_refetch: '1s' }) });
	});
	after(async () => {
		await provider.stop();
		await world.stop();
	});

	test('a token logs in; the first one makes the user', async () => {
		const token = await provider.token('alice');
		const { socket, user_id, session_id, expires_at } = await enter(world, token);
		const profile = await socket.call('get_profile');
		assert.deepEqual([profile.id, profile.user_name, profile.display_name], [user_id, 'sso.alice', 'alice of SSO']);
		const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
		assert.equal(Date.parse(expires_at), exp * 1000);
		assert.deepEqual((await socket.call('list_sessions')).map(row => [row.id, row.device_name, row.is_current]), [[session_id, 'alice', true]]);
		await socket.close();
	});

	test('the same token again is the same session, another one another session of the same user', async () => {
		const token = await provider.token('bob');
		const first = await enter(world, token);
		const again = await enter(world, token);
		const other = await enter(world, await provider.token('bob'));
		assert.deepEqual([again.user_id, again.session_id], [first.user_id, first.session_id]);
		assert.equal(other.user_id, first.user_id);
		assert.notEqual(other.session_id, first.session_id);
		assert.equal((await first.socket.call('list_sessions')).length, 2);
		const bearer = await world.connect({ token });
		assert.equal((await bearer.call('get_profile')).id, first.user_id);
		for (const socket of [first.socket, again.socket, other.socket, bearer])
			await socket.close();
	});

	test('messages go between a user of the provider and one of ours', async () => {
		const bob = await world.user('ours');
		const ours = await world.connect(bob);
		const { socket } = await enter(world, await provider.token('alice'));
		const chat = await socket.call('open_direct_chat', { user_id: bob.id });
		await socket.call('send_message', { chat_id: chat.id, body: 'hello' });
		assert.equal((await ours.event(e => e.type === 'message')).message.body, 'hello');
		await socket.close();
		await ours.close();
	});

	test('over HTTP: calls, files and a stream of events, until the session ends', async () => {
		const token = await provider.token('dave');
		const headers = { Authorization: `Bearer ${token}` };
		const post = async method => {
			const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method });
			const response = await fetch(`${world.http}/rpc`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body });
			return { status: response.status, ...await response.json() };
		};
		const { result: profile } = await post('get_profile');
		assert.equal(profile.user_name, 'sso.dave');
		const sent = await fetch(`${world.http}/files?name=note.txt&mime_type=text/plain`, { method: 'POST', headers, body: 'by token' });
		assert.equal(sent.status, 201);
		const { id } = await sent.json();
		assert.equal(await (await fetch(`${world.http}/files/${id}`, { headers })).text(), 'by token');
		const stream = await Stream.open(world, { token });
		assert.equal(stream.status, 200);
		const { socket } = await enter(world, token);
		const chat = await socket.call('open_direct_chat', { user_id: profile.id });
		const message = await socket.call('send_message', { chat_id: chat.id, body: 'to myself' });
		assert.equal((await stream.message(message.id)).message.body, 'to myself');
		await socket.call('log_out');
		await within(stream.ended, 'the end of the stream');
		const after = await post('get_profile');
		assert.deepEqual([after.status, after.error.data.reason], [401, 'bad_token']);
		assert.equal((await fetch(`${world.http}/files/${id}`, { headers })).status, 401);
		assert.equal((await Stream.open(world, { token })).status, 401);
		await socket.close();
	});

	test('where nobody may sign up a newcomer is refused, and a user is not', async () => {
		const alice = await provider.token('alice');
		const carol = await provider.token('carol');
		await world.sql("SELECT chat.set_setting('external_sign_up', 'false')");
		const error = await enterRefused(world, carol);
		assert.deepEqual([error.code, error.data.reason], [403, 'sign_up_closed']);
		assert.equal(await bearerCode(world, carol), 4001);
		assert.equal(await world.sql("SELECT count(*) FROM chat.users WHERE external_subject = 'carol'"), '0');
		await (await enter(world, alice)).socket.close();
		await world.sql("SELECT chat.set_setting('external_sign_up', 'true')");
		await (await enter(world, carol)).socket.close();
	});

	test('log_out ends the session, and its token is of no use any more', async () => {
		const token = await provider.token('alice');
		const { socket } = await enter(world, token);
		const second = await enter(world, token);
		await socket.call('log_out');
		assert.equal((await socket.ending('4003')).code, 4003);
		assert.equal((await second.socket.ending('4003')).code, 4003);
		const error = await enterRefused(world, token);
		assert.deepEqual([error.code, error.data.reason], [401, 'bad_token']);
		assert.equal(await bearerCode(world, token), 4001);
		await (await enter(world, await provider.token('alice'))).socket.close();
	});

	test('at its end the socket is closed 4009, unless a fresh token came in time', async () => {
		const short = await provider.token('bob', 'urn:chat:short');
		const [left, kept] = await Promise.all([enter(world, short), enter(world, short)]);
		const error = await refused(left.socket.call('refresh_session'));
		assert.deepEqual([error.code, error.data.reason], [409, 'external_session']);
		const fresh = await kept.socket.call('authenticate', { token: await provider.token('bob') });
		assert.equal(fresh.user_id, kept.user_id);
		assert.ok(Date.parse(fresh.expires_at) > Date.parse(kept.expires_at));
		assert.equal((await left.socket.ending('4009')).code, 4009);
		assert.ok(Date.now() >= Date.parse(left.expires_at));
		const late = await enterRefused(world, short);
		assert.deepEqual([late.code, late.data.reason], [401, 'session_expired']);
		assert.equal((await kept.socket.call('get_profile')).id, kept.user_id);
		await kept.socket.close();
	});

	test('on a live socket the token of another user is refused', async () => {
		const { socket, user_id } = await enter(world, await provider.token('alice'));
		const error = await refused(socket.call('authenticate', { token: await provider.token('bob') }));
		assert.deepEqual([error.code, error.data.reason], [409, 'already_authenticated']);
		assert.equal((await socket.call('get_profile')).id, user_id);
		await socket.close();
	});

	test('new keys at the provider are followed', async () => {
		const old = await provider.token('dave');
		await provider.stop();
		provider.key = makeKey('second');
		await provider.start();
		const { socket, user_id } = await enter(world, await provider.token('dave'));
		await socket.close();
		assert.equal((await enterRefused(world, old)).code, 401, 'the old key is gone');
		assert.equal(await world.sql("SELECT id FROM chat.users WHERE external_subject = 'dave'"), user_id);
	});

	test('while the provider is away its keys serve on', async () => {
		const token = await provider.token('alice');
		await provider.stop();
		const { socket } = await enter(world, token);
		await socket.close();
		await provider.start();
	});
});

// Answers what it is told to, counts what it is asked.
class TinyProvider
{
	constructor()
	{
		this.key = makeKey('k1');
		this.jwks = { keys: [publicJwk(this.key)] };
		this.asked = { document: 0, keys: 0, other: 0 };
		this.held = [];
	}

	async start(tls)
	{
		const handle = (request, response) => this.answer(request, response);
		this.server = tls ? createSecureServer(tls, handle) : createServer(handle);
		this.server.listen(this.port ?? 0, '127.0.0.1');
		await once(this.server, 'listening');
		this.port = this.server.address().port;
		this.issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${this.port}/realms/x`;
		return this;
	}

	async stop()
	{
		this.server.close();
		this.server.closeAllConnections();
		await once(this.server, 'close');
	}

	answer(request, response)
	{
		const kind = { '/realms/x/.well-known/openid-configuration': 'document', '/keys': 'keys' }[request.url] ?? 'other';
		const send = () => {
			const { status = 200, headers = {}, body } = this.override?.(kind) ?? {};
			const ordinary = kind === 'document'
				? { issuer: this.issuer, jwks_uri: new URL('/keys', this.issuer).href } : kind === 'keys' ? this.jwks : {};
			response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
			response.end(typeof body === 'string' ? body : JSON.stringify(body ?? ordinary));
		};
		this.asked[kind]++;
		if (this.holding)
			this.held.push(send);
		else
			send();
	}

	release()
	{
		this.holding = false;
		for (const send of this.held.splice(0))
			send();
	}

	claims(others = {})
	{
		return { iss: this.issuer, aud: 'chat', sub: 'tiny', jti: unique('j'), iat: seconds(), exp: seconds() + 300, ...others };
	}

	// `claims` may be text that no program would write.
	token(claims = this.claims(), header = {}, key = this.key)
	{
		const part = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
		const text = `${part({ alg: 'RS256', kid: key.kid, typ: 'at+jwt', ...header })}.${part(claims)}`;
		return `${text}.${sign('sha256', Buffer.from(text), key.privateKey).toString('base64url')}`;
	}
}

describe('single sign-on with a provider and clients that do what they like', () => {
	let world;
	let provider;

	before(async () => {
		provider = await new TinyProvider().start();
		world = await World.start({ knobs: knobs(provider.issuer) });
	});
	after(async () => {
		await provider.stop();
		await world.stop();
	});

	const users = () => world.sql('SELECT count(*) FROM chat.users');
	const enters = async (token = provider.token()) => (await enter(world, token)).socket.close();

	test('hostile tokens are 401, and nothing else happens', async () => {
		const other = makeKey('k1');
		const good = provider.token();
		const [header, claims, signature] = good.split('.');
		const recoded = (value, change) => Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(value, 'base64url')), ...change })).toString('base64url');
		const mac = `${recoded(header, { alg: 'HS256' })}.${claims}`;
		const pem = provider.key.publicKey.export({ type: 'spki', format: 'pem' });
		const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
		provider.jwks.keys.push({ ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec' });
		await restart(world, knobs(provider.issuer));
		const hostile = {
			tampered: `${header}.${recoded(claims, { sub: 'admin' })}.${signature}`,
			'signed by another key': provider.token(provider.claims(), {}, other),
			'signature cut off': `${header}.${claims}.`,
			none: `${recoded(header, { alg: 'none' })}.${claims}.`,
			None: `${recoded(header, { alg: 'None' })}.${claims}.${signature}`,
			'HS256 with the public key': `${mac}.${createHmac('sha256', pem).update(mac).digest('base64url')}`,
			expired: provider.token(provider.claims({ exp: seconds() - 1 })),
			'no exp': provider.token(provider.claims({ exp: undefined })),
			'not yet valid': provider.token(provider.claims({ nbf: seconds() + 60 })),
			'wrong aud': provider.token(provider.claims({ aud: 'mail' })),
			'wrong iss': provider.token(provider.claims({ iss: `${provider.issuer}/` })),
			'kid of another type of key': provider.token(provider.claims(), { kid: 'ec' }),
			'unknown crit': provider.token(provider.claims(), { crit: ['exp'] }),
			'oversized': provider.token(provider.claims({ filler: 'x'.repeat(9000) })),
			'bad base64': `${header}.${claims}=.${signature}`,
			'duplicate claims': provider.token(JSON.stringify(provider.claims()).replace('{', '{"sub":"admin",')),
			'no subject': provider.token(provider.claims({ sub: '' })),
			'a NUL': provider.token(provider.claims({ sub: 'a\0b' })),
			'an unknown key': provider.token(provider.claims(), { kid: 'k2' })
		};
		const before = await users();
		for (const [name, token] of Object.entries(hostile))
		{
			const socket = await world.connect();
			const error = await refused(socket.call('authenticate', { token }));
			assert.deepEqual([error.code, error.data.reason], [401, name === 'expired' ? 'session_expired' : 'bad_token'], name);
			assert.equal(await socket.call('ping'), 'pong');
			assert.equal((await refused(socket.call('get_profile'))).code, 401);
			await socket.close();
			assert.equal(await bearerCode(world, token), 4001, name);
		}
		assert.equal(await users(), before);
		assert.equal(await world.sql('SELECT count(*) FROM chat.sessions'), '0');
		await enters(good);
		for (const token of [good, ...Object.values(hostile)])
			assert.ok(!token.split('.').some(part => part.length > 20 && world.gateway.log.includes(part)), 'no token is logged');
	});

	test('a token of nearly 8 kB is not too large', async () => {
		const token = provider.token(provider.claims({ groups: 'x'.repeat(5600) }));
		assert.ok(token.length > 8000 && token.length <= 8192, `${token.length}`);
		await enters(token);
		await (await world.connect({ token })).close();
	});

	test('five bad tokens on a socket, and it is closed', async () => {
		const socket = await world.connect();
		for (let i = 0; i < 5; i++)
			assert.equal((await refused(socket.call('authenticate', { token: provider.token(provider.claims({ aud: 'mail' })) }))).code, 401);
		assert.equal((await socket.ending()).code, 4001);
	});

	test('a storm of unknown keys asks the provider once', async () => {
		await restart(world, knobs(provider.issuer));
		await enters();
		const { document, keys } = provider.asked;
		await Promise.all(Array.from({ length: 40 }, async () => {
			const socket = await world.connect();
			const tokens = Array.from({ length: 4 }, () => provider.token(provider.claims(), { kid: unique('garbage') }));
			for (const answer of tokens.map(token => refused(socket.call('authenticate', { token }))))
				assert.equal((await answer).code, 401);
			await socket.close();
		}));
		assert.deepEqual(provider.asked, { document: document + 1, keys: keys + 1, other: 0 });
		await enters();
	});

	test('one login at the provider is one session, however many tokens it has', async () => {
		const first = await enter(world, provider.token(provider.claims({ sid: 'login 1' })));
		const second = await enter(world, provider.token(provider.claims({ sid: 'login 1' })));
		const other = await enter(world, provider.token(provider.claims({ sid: 'login 2' })));
		assert.equal(second.session_id, first.session_id);
		assert.notEqual(other.session_id, first.session_id);
		const later = await first.socket.call('authenticate', { token: provider.token(provider.claims({ sid: 'login 1', exp: seconds() + 600 })) });
		assert.equal(later.session_id, first.session_id);
		assert.ok(Date.parse(later.expires_at) > Date.parse(first.expires_at));
		for (const { socket } of [first, second, other])
			await socket.close();
	});

	// The gateway for the provider, and for the gateway what was sent on the socket: it answers no JSON at once.
	async function bothAreWaiting(socket)
	{
		socket.send('{');
		await socket.reply(frame => frame.error?.code === -32700);
		await until(() => provider.held.length > 0, 'the document is asked for');
	}

	test('a login waits for keys that are on their way', async () => {
		provider.holding = true;
		await restart(world, knobs(provider.issuer));
		const socket = await world.connect();
		const login = socket.call('authenticate', { token: provider.token() });
		const profile = socket.call('get_profile');
		await bothAreWaiting(socket);
		provider.release();
		assert.equal((await profile).id, (await login).user_id);
		await socket.close();
	});

	test('a provider that does not answer does not keep the gateway from ending', async () => {
		provider.holding = true;
		await restart(world, knobs(provider.issuer, { drain_timeout: '200ms' }));
		const socket = await world.connect();
		const login = socket.call('authenticate', { token: provider.token() });
		await bothAreWaiting(socket);
		const ended = assert.rejects(login, /1001/);
		await restart(world, knobs(provider.issuer));
		await ended;
		provider.release();
		await enters();
	});

	const nonsense = {
		'another issuer\'s document': kind => (kind === 'document' ? { body: { issuer: 'https://id.example', jwks_uri: new URL('/keys', provider.issuer).href } } : {}),
		'keys without https': kind => (kind === 'document' ? { body: { issuer: provider.issuer, jwks_uri: 'http://id.example/keys' } } : {}),
		'a redirect': kind => (kind === 'keys' ? { status: 302, headers: { Location: '/elsewhere' } } : {}),
		'no JSON': kind => (kind === 'keys' ? { body: '<html>' } : {}),
		'no key of use': kind => (kind === 'keys' ? { body: { keys: [{ kty: 'oct', kid: 'k1', k: 'AAAA' }] } } : {}),
		'keys without end': kind => (kind === 'keys' ? { body: { ...provider.jwks, filler: 'x'.repeat(300000) } } : {})
	};
	for (const [name, override] of Object.entries(nonsense))
	{
		test(`${name}: no login until the provider is itself again`, async () => {
			provider.override = override;
			await restart(world, knobs(provider.issuer));
			await until(() => world.gateway.log.includes('oidc_keys_not_fetched'), 'the failure is logged');
			const error = await enterRefused(world, provider.token());
			assert.deepEqual([error.code, error.data.reason], [503, 'unavailable']);
			assert.equal(await bearerCode(world, provider.token()), 1013);
			provider.override = null;
			await until(async () => {
				const socket = await world.connect();
				const good = await socket.call('authenticate', { token: provider.token() }).catch(() => null);
				await socket.close();
				return good;
			}, 'it is tried again');
			assert.equal(provider.asked.other, 0);
		});
	}

	test('nonsense in place of new keys leaves the old ones', async () => {
		await restart(world, knobs(provider.issuer, { oidc_refresh: '1s' }));
		await enters();
		provider.override = nonsense['no JSON'];
		await until(() => world.gateway.log.includes('the old ones serve on'), 'a refresh fails');
		await enters();
		provider.override = null;
	});

	test('keys that are too old serve nobody', async () => {
		await restart(world, knobs(provider.issuer, { oidc_refresh: '1s', oidc_stale: '2s' }));
		await until(() => enters().then(() => true, () => false), 'there are keys');
		await provider.stop();
		await until(async () => (await enterRefused(world, provider.token(provider.claims({ aud: ['mail', 'chat'] }), { kid: 'k2' }))).code === 503, 'they are too old');
		assert.equal((await enterRefused(world, provider.token())).code, 503);
		await provider.start();
		await until(() => enters().then(() => true, () => false), 'new ones come');
	});

	test('over TLS the provider must be one whom we trust', async () => {
		const folder = mkdtempSync(join(tmpdir(), 'chat-oidc-'));
		const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
		execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2',
			'-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
		chmodSync(folder, 0o755);
		const secure = await new TinyProvider().start({ key: readFileSync(key), cert: readFileSync(cert) });
		try
		{
			await restart(world, knobs(secure.issuer, { oidc_http: 'refused' }));
			await until(() => world.gateway.log.includes('oidc_keys_not_fetched'), 'the failure is logged');
			assert.equal((await enterRefused(world, secure.token())).code, 503);
			assert.equal(secure.asked.document, 0);
			await restart(world, knobs(secure.issuer, { oidc_http: 'refused', oidc_ca_file: cert }));
			await enters(secure.token());
		}
		finally
		{
			await secure.stop();
			rmSync(folder, { recursive: true });
		}
	});

	test('without a provider its tokens are nobody\'s', async () => {
		await restart(world, {});
		const error = await enterRefused(world, provider.token());
		assert.deepEqual([error.code, error.data.reason], [401, 'bad_token']);
	});
});
