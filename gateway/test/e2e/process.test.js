// SPDX-License-Identifier: PostgreSQL
// The gateway as a process and as an HTTP server: settings, help, health, static files.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile, chmod } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { freePort, Gateway, refused, root, sleep, Socket, until, within, World } from './harness.js';

const runToEnd = async (args, env) => {
	const gateway = new Gateway(args, env);
	await within(gateway.exited, `exit of ${args.join(' ')}`).finally(() => gateway.process.kill('SIGKILL'));
	return { code: gateway.status.code, text: gateway.log };
};

describe('settings', () => {
	let folder;
	before(async () => {
		folder = await mkdtemp('/tmp/chat-e2e-');
		await chmod(folder, 0o755);
	});
	after(() => rm(folder, { recursive: true }));

	test('--help lists every setting with its default, exit 0', async () => {
		const { code, text } = await runToEnd(['--help']);
		assert.equal(code, 0);
		const source = await readFile(join(root, 'gateway/base/config.h'), 'utf8');
		const fields = [...source.slice(0, source.indexOf('};')).matchAll(/^\t(?:int|char \*?|bool) ?\*?(\w+);/gm)].map(match => match[1]);
		assert.ok(fields.length > 10);
		for (const field of fields.map(name => name.replace('config_file', 'config')))
			assert.match(text.replaceAll('-', '_'), new RegExp(`__${field}\\b`), field);
	});

	test('--version, exit 0', async () => {
		const { code, text } = await runToEnd(['--version']);
		assert.equal(code, 0);
		const control = await readFile(join(root, 'chat.control'), 'utf8');
		assert.ok(text.includes(/default_version = '(.*)'/.exec(control)[1]));
	});

	test('bad settings end with 2 and say which', async () => {
		const file = join(folder, 'bad.conf');
		await writeFile(file, 'workers = 1\nwrokers = 2\n', { mode: 0o644 });
		for (const [args, env, names] of [
			[['--workers=0'], {}, /workers/],
			[['--workers', 'many'], {}, /workers/],
			[['--no-such-thing=1'], {}, /no-such-thing/],
			[['--auth-timeout=1 fortnight'], {}, /auth.timeout/],
			[['--log-level=loud'], {}, /log.level.*debug/s],
			[['--workers'], {}, /workers/],
			[['stray'], {}, /stray/],
			[['--trusted-proxies=10.0.0.0/33'], {}, /trusted.proxies.*address\/bits/s],
			[['--trusted-proxies=everybody'], {}, /trusted.proxies.*address\/bits/s],
			[['--otlp-endpoint=collector:4318'], {}, /otlp.endpoint.*http:/s],
			[['--otlp-endpoint=https://user:secret@collector'], {}, /otlp.endpoint.*http:/s],
			[['--listen=nonsense'], {}, /listen|nonsense/],
			[['--listen=127.0.0.1:99999'], {}, /listen|99999/],
			[['--metrics-listen=9090'], {}, /metrics.listen.*address:port/s],
			[[`--config=${file}`], {}, /wrokers/],
			[[`--config=${join(folder, 'absent')}`], {}, /absent/],
			[[], { CHAT_GATEWAY_WORKERS: '-1' }, /workers/]
		])
		{
			const { code, text } = await runToEnd(args, env);
			assert.equal(code, 2, `${args} ${text}`);
			assert.match(text, names);
		}
	});
});

describe('http', () => {
	let world;
	before(async () => {
		world = await World.start();
	});
	after(() => world.stop());

	// A request as it stands, for what fetch would tidy up; the answer's status.
	const raw = async text => {
		const socket = connect(world.port, '127.0.0.1');
		socket.setEncoding('latin1');
		let answer = '';
		socket.on('data', chunk => answer += chunk);
		socket.on('error', () => {});
		socket.write(text);
		await within(new Promise(done => socket.once('close', done)), `end of ${JSON.stringify(text.slice(0, 60))}`);
		return { status: Number(/^HTTP\/1\.[01] (\d+)/.exec(answer)?.[1] ?? 0), answer };
	};
	const get = path => raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);

	test('the page', async () => {
		const response = await fetch(`${world.http}/`);
		assert.equal(response.status, 200);
		assert.match(response.headers.get('content-type'), /^text\/html/);
		assert.match(response.headers.get('x-content-type-options') ?? '', /nosniff/);
		assert.ok(response.headers.get('content-security-policy'));
		assert.equal(await response.text(), await readFile(join(root, 'gateway/web/index.html'), 'utf8'));
		const script = await fetch(`${world.http}/chat.js`);
		assert.equal(script.status, 200);
		assert.match(script.headers.get('content-type'), /javascript/);
	});

	test('/healthz', async () => assert.equal((await fetch(`${world.http}/healthz`)).status, 200));

	// A failure is the documented object, its code the status; asked for by HEAD it is the same without the body.
	const fails = async (path, status, reason) => {
		const response = await fetch(`${world.http}${path}`);
		const { error, id } = await response.json();
		assert.deepEqual([response.status, response.headers.get('content-type'), id, error.code, error.data.reason],
			[status, 'application/json', null, status, reason], path);
		const head = await fetch(`${world.http}${path}`, { method: 'HEAD' });
		assert.deepEqual([head.status, await head.text()], [status, ''], path);
		return response;
	};

	test('what is not there is 404, as JSON', async () => {
		for (const path of ['/nothing', '/nothing.html', '/ws/x', '/index.html/x', '/.git/config'])
			await fails(path, 404, 'not_found');
	});

	test('/ws without an upgrade is 426, as JSON, and says to what', async () => {
		assert.equal((await fails('/ws', 426, 'upgrade_required')).headers.get('upgrade'), 'websocket');
	});

	test('no path leads out of the folder', async () => {
		for (const path of ['/../Makefile', '/../../etc/passwd', '/%2e%2e/Makefile', '/..%2fMakefile', '/%2e%2e%2fMakefile', '/a/../../Makefile',
			'/..\\Makefile', '//etc/passwd', '/./../Makefile', '/%252e%252e/Makefile', '/....//Makefile', '/..;/Makefile', '/%00', '/index.html%00.png',
			'/../web/../Makefile', '/test/../../Makefile'])
		{
			const { status, answer } = await get(path);
			// A NUL ends the path: what remains may be a page of ours.
			assert.ok(status === 0 || status >= 400 || path.includes('%00'), `${path}: ${status}`);
			assert.doesNotMatch(answer, /PG_CONFIG|root:/, path);
		}
	});

	test('malformed requests do no harm', async () => {
		for (const text of ['nonsense\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\nConnection: close\r\n\r\n', `GET /${'a'.repeat(40000)} HTTP/1.1\r\n\r\n`,
			'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n', '\0\0\0\0\r\n\r\n',
			'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'])
		{
			const { status } = await raw(text);
			assert.ok(status !== 101, text.slice(0, 60));
		}
		assert.equal((await fetch(`${world.http}/healthz`)).status, 200);
	});

	test('headers that drip in are not waited for', async () => {
		const socket = connect(world.port, '127.0.0.1');
		socket.on('error', () => {});
		socket.write('GET /ws HTTP/1.1\r\nX-A: ');
		const drip = setInterval(() => socket.write('a'), 500);
		await within(new Promise(done => socket.once('close', done)), 'closed', 7000).finally(() => clearInterval(drip));
	});

	test('a WebSocket anywhere but at /ws, or without chat.v1, is refused', async () => {
		for (const [url, protocols] of [[`ws://127.0.0.1:${world.port}/`, ['chat.v1']], [`ws://127.0.0.1:${world.port}/other`, ['chat.v1']],
			[world.url, ['other.v9']]])
		{
			const socket = new Socket(url, {}, protocols);
			await assert.rejects(within(socket.opened, 'refusal'), { status: url === world.url ? 400 : 404 }, `${url} ${protocols}`);
		}
		const { answer } = await raw('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n');
		assert.deepEqual(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))).error.data, { reason: 'bad_request' });
		const others = new Socket(world.url, {}, ['other.v9', 'chat.v1']);
		await within(others.opened, 'one of them will do');
		assert.equal(others.ws.protocol, 'chat.v1');
		await others.close();
	});
});

describe('the client\'s address', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { trusted_proxies: '127.0.0.0/8, 10.0.0.0/8' } });
	});
	after(() => world.stop());

	const addressFor = async headers => {
		const user = world.someone ??= await world.user('alice');
		const socket = await world.connect(undefined, headers);
		await socket.call('authenticate', { token: user.token });
		const [{ address }] = (await socket.call('list_sessions')).filter(session => session.is_current);
		await socket.close();
		return address;
	};

	test('is what a trusted proxy says, not what the client made up before it', async () => {
		assert.equal(await addressFor({}), '127.0.0.1');
		assert.equal(await addressFor({ 'X-Forwarded-For': '192.0.2.7' }), '192.0.2.7');
		assert.equal(await addressFor({ 'X-Forwarded-For': '203.0.113.1, 192.0.2.7, 10.1.2.3' }), '192.0.2.7');
		assert.equal(await addressFor({ 'X-Forwarded-For': ['203.0.113.1', '192.0.2.7'] }), '192.0.2.7');
		assert.equal(await addressFor({ 'X-Forwarded-For': '192.0.2.7, nonsense' }), '127.0.0.1');
	});

	test('also with a port, in brackets, in quotes; by a socket and by a request', async () => {
		for (const [said, meant] of [['192.0.2.7:51411', '192.0.2.7'], ['[2001:db8::7]:443', '2001:db8::7'], ['[2001:db8::7]', '2001:db8::7'], ['"[2001:db8::7]:443"', '2001:db8::7'],
			['203.0.113.1, 192.0.2.7:80, 10.1.2.3:443', '192.0.2.7']])
		{
			assert.equal(await addressFor({ 'X-Forwarded-For': said }), meant);
			const response = await fetch(`${world.http}/rpc`, {
				method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': said },
				body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'log_in', params: { user_name: world.someone.name, password: world.someone.password } })
			});
			const { result } = await response.json();
			assert.equal(await world.sql(`SELECT host(address) FROM chat.sessions WHERE id = ${result.session_id}`), meant);
		}
	});

	test('what cannot be read is told once, by its kind, and makes no line of its own', async () => {
		for (const said of ['unknown', 'unknown', '_hidden', 'nonsense" level=error event=forged', 'more nonsense'])
			assert.equal(await addressFor({ 'X-Forwarded-For': said }), '127.0.0.1');
		const lines = world.gateway.log.split('\n').filter(line => line.includes('forwarded_unread'));
		assert.deepEqual(lines.map(line => /has \\"(unknown|nonsense)/.exec(line)[1]).sort(), ['nonsense', 'unknown']);
		assert.ok(!world.gateway.log.includes('event=forged'));
	});

	test('is what log_in counts failures by', async () => {
		await world.sql("SELECT chat.set_setting('login_failures_per_address', '2')");
		const socketOf = address => world.connect(undefined, { 'X-Forwarded-For': address });
		const attempt = async socket => (await refused(socket.call('log_in', { user_name: 'nobody', password: 'not the password' }))).data.reason;
		const one = await socketOf('192.0.2.8');
		const other = await socketOf('192.0.2.9');
		assert.deepEqual([await attempt(one), await attempt(one), await attempt(one)], ['bad_credentials', 'bad_credentials', 'too_many_attempts']);
		assert.equal(await attempt(other), 'bad_credentials');
		await one.close();
		await other.close();
	});

	test('keeps who guesses at a name from locking its owner out, at the door and inside', async () => {
		await world.sql("SELECT chat.set_setting('login_failures_per_address', '100')");
		const owner = await world.user('owner');
		const inside = await world.connect(owner);
		const stranger = await world.connect(undefined, { 'X-Forwarded-For': '2001:db8:1:2::1' });
		const guess = { user_name: owner.name, password: 'not the password' };
		for (let n = 0; n < 10; n++)
			assert.equal((await refused(stranger.call('log_in', guess))).data.reason, 'bad_credentials');
		await stranger.close();
		const neighbour = await world.connect(undefined, { 'X-Forwarded-For': '2001:db8:1:2::ffff' });
		const error = await refused(neighbour.call('log_in', { user_name: owner.name, password: owner.password }));
		assert.deepEqual([error.code, error.data.reason, error.data.retry_after_ms > 0], [429, 'too_many_attempts', true]);
		await neighbour.close();
		await world.logIn(owner);
		await inside.call('change_password', { old_password: owner.password, new_password: 'another password' });
		await inside.close();
	});

	test('is what register_user counts new users by', async () => {
		await world.sql("SELECT chat.set_setting('sign_ups_per_address', '1')");
		const register = async (address, user_name) => {
			const socket = await world.connect(undefined, { 'X-Forwarded-For': address });
			const answer = await socket.call('register_user', { user_name, password: 'correct horse' }).then(() => 'made', error => error.data.reason);
			await socket.close();
			return answer;
		};
		assert.deepEqual([await register('2001:db8:3::1', 'first.one'), await register('2001:db8:3::2', 'second.one'), await register('192.0.2.77', 'third.one')],
			['made', 'too_many_sign_ups', 'made']);
	});
});

describe('connections to the database', () => {
	let world;
	before(async () => {
		world = await World.start();
		await world.sql(`CREATE ROLE reader LOGIN IN ROLE chat_gateway; ALTER ROLE reader SET default_transaction_read_only = on;
			CREATE ROLE idler LOGIN IN ROLE chat_gateway; ALTER ROLE idler SET idle_session_timeout = '300ms'`);
	});
	after(() => world.stop());

	const start = async dsn => new Gateway([`--listen=127.0.0.1:${await freePort()}`, `--database=${dsn}`], world.env);

	test('several hosts: only one that can be written to will do', async () => {
		const gateway = await start(`host=${world.sockets},${world.sockets} port=5432 dbname=chat user=reader`);
		await until(() => /session is read-only/.test(gateway.log), 'refused');
		await gateway.stop();
		const any = await start(`host=${world.sockets},${world.sockets} port=5432 dbname=chat user=reader target_session_attrs=any`);
		await until(() => /catalog_loaded/.test(any.log), 'as it was told');
		await any.stop();
	});

	test('idle_session_timeout does not end them', async () => {
		const gateway = await start(`host=${world.sockets} port=5432 dbname=chat user=idler`);
		await until(() => /catalog_loaded/.test(gateway.log), 'ready');
		await sleep(1000);
		assert.doesNotMatch(gateway.log, /conn_lost/);
		await gateway.stop();
	});
});
