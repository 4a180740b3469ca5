// SPDX-License-Identifier: PostgreSQL
// Limits: sockets, sockets of one address and of one user, what these do not read, calls a second, sockets whose client is gone without a word, descriptors.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Raw } from './raw.js';
import { freePort, Gateway, refused, Relay, Socket, until, within, World } from './harness.js';

const get = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';

describe('sockets', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { max_sockets: 4 } });
	});
	after(() => world.stop());

	const fill = async () => {
		const sockets = await Promise.allSettled([1, 2, 3, 4].map(() => world.connect()));
		if (sockets.every(({ status }) => status === 'fulfilled'))
			return sockets.map(({ value }) => value);
		await Promise.all(sockets.map(({ value }) => value?.close()));
		return null;
	};

	test('beyond max_sockets: 503, and room again when one goes', async () => {
		// What came by HTTP until now may still be open.
		const sockets = await until(fill, 'four sockets');
		const more = new Raw(world.port).write(get);
		assert.equal(await more.status(), 503);
		assert.match(more.text, /^Retry-After: \d+\r$/m);
		await within(more.end, 'end');
		const late = new Socket(world.url);
		assert.equal((await within(late.opened, 'handshake').catch(error => error)).status, 503);
		await sockets[0].close();
		const next = await until(() => world.connect().catch(() => null), 'room');
		assert.equal(await next.call('ping'), 'pong');
		await Promise.all([next, ...sockets.slice(1)].map(socket => socket.close()));
	});
});

describe('sockets of one address', () => {
	const stranger = '127.0.0.2';
	const enter = async (world, address) => {
		const raw = new Raw(world.port, address).write(get);
		return Object.assign(raw, { came: await raw.status() });
	};

	test('429, but not for a trusted proxy or who is on this machine', async () => {
		const world = await World.start({ knobs: { max_sockets_per_address: 3 } });
		const held = [1, 2, 3].map(() => new Raw(world.port, stranger));
		const more = await until(async () => {
			const raw = await enter(world, stranger);
			return raw.came === 429 && raw;
		}, '429');
		assert.match(more.text, /^Retry-After: \d+\r$/m);
		assert.match(world.gateway.log, /event=too_many_sockets message="127\.0\.0\.2 has max_sockets_per_address/, 'the operator is told: it may be a proxy');
		const others = await Promise.all([1, 2, 3, 4, 5].map(() => enter(world)));
		assert.deepEqual(others.map(({ came }) => came), Array(5).fill(200));
		for (const raw of [...held, ...others])
			raw.close();
		await until(async () => {
			const raw = await enter(world, stranger);
			raw.close();
			return raw.came === 200;
		}, 'room');
		await world.stop();

		const proxied = await World.start({ knobs: { max_sockets_per_address: 3, trusted_proxies: stranger } });
		const many = [1, 2, 3, 4, 5, 6].map(() => new Raw(proxied.port, stranger));
		const last = await enter(proxied, stranger);
		assert.equal(last.came, 200);
		for (const raw of [...many, last])
			raw.close();
		await proxied.stop();
	});

	test('is bounded by default, so that no address takes all', async () => {
		const world = await World.start();
		const held = Array.from({ length: 1000 }, () => new Raw(world.port, stranger));
		await Promise.all(held.map(({ socket }) => within(once(socket, 'connect'), 'connected')));
		await until(async () => {
			const raw = await enter(world, stranger);
			raw.close();
			return raw.came === 429;
		}, '429');
		const other = await enter(world, '127.0.0.3');
		assert.equal(other.came, 200);
		for (const raw of [...held, other])
			raw.close();
		await world.stop();
	});
});

describe('a limit that comes later', () => {
	test('counts those who were there before it', async () => {
		const folder = await mkdtemp('/tmp/chat-e2e-');
		await chmod(folder, 0o755);
		const file = join(folder, 'gateway.conf');
		await writeFile(file, 'max_sockets_per_address = 0\n', { mode: 0o644 });
		const world = await World.start({ knobs: { config: file } });
		const enter = async () => {
			const raw = new Raw(world.port, '127.0.0.2').write(get);
			return Object.assign(raw, { came: await raw.status() === 200 });
		};
		const early = await Promise.all([1, 2, 3].map(enter));
		await writeFile(file, 'max_sockets_per_address = 3\n');
		world.gateway.process.kill('SIGHUP');
		await until(() => /config_reloaded/.test(world.gateway.log), 'the new limit');
		await until(async () => {
			const raw = await enter();
			raw.close();
			return !raw.came;
		}, '429');
		for (const raw of early)
			raw.close();
		const late = [];
		await until(async () => {
			late.push(await enter());
			return late.filter(({ came }) => came).length === 3;
		}, 'room');
		assert.equal((await enter()).came, false);
		for (const raw of late)
			raw.close();
		await world.stop();
		await rm(folder, { recursive: true });
	});
});

describe('calls a second', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { calls_per_second: 5, calls_burst: 10 } });
	});
	after(() => world.stop());

	const post = (user, body) => fetch(`${world.http}/rpc`, {
		method: 'POST', headers: { 'Content-Type': 'application/json', ...user ? { Authorization: `Bearer ${user.token}` } : {} }, body: JSON.stringify(body)
	});
	const ping = { jsonrpc: '2.0', id: 1, method: 'get_profile' };

	test('of one session, by sockets and by requests', async () => {
		const user = await world.user('alice');
		const socket = await world.connect(user);
		const answers = await Promise.allSettled(Array.from({ length: 30 }, () => socket.call('get_profile')));
		const over = answers.filter(({ status }) => status === 'rejected').map(({ reason }) => reason);
		assert.ok(over.length > 10 && over.length < 30, `${over.length} refused`);
		for (const { code, data } of over)
		{
			assert.deepEqual([code, data.reason], [429, 'rate_limited']);
			assert.ok(data.retry_after_ms > 0 && data.retry_after_ms <= 1000);
		}
		const response = await until(async () => {
			const [answer] = await Promise.all([post(user, ping), ...Array.from({ length: 15 }, () => socket.call('get_profile').catch(() => {}))]);
			return answer.status === 429 && answer;
		}, '429');
		assert.ok(Number(response.headers.get('retry-after')) >= 1);
		assert.equal((await response.json()).error.data.reason, 'rate_limited');
		const batch = await post(user, [ping, ping, ping]);
		assert.equal(batch.status, 200);
		assert.ok((await batch.json()).some(({ error }) => error?.code === 429));
		const other = await world.user('bob');
		assert.equal((await post(other, ping)).status, 200);
		await until(async () => (await post(user, ping)).status === 200, 'good again');
		await socket.close();
	});

	test('of one user, whatever logins they have', async () => {
		const user = await world.user('fred');
		const [{ token }] = [JSON.parse(await world.sql(`SELECT to_json(s) FROM chat.create_session(${user.id}) s`))];
		const sockets = [await world.connect(user), await world.connect({ token })];
		const answers = await Promise.allSettled(Array.from({ length: 30 }, (_, n) => sockets[n % 2].call('get_profile')));
		const good = answers.filter(({ status }) => status === 'fulfilled').length;
		assert.ok(good < 20, `${good} answered, where two buckets would have had 20 and more`);
		await Promise.all(sockets.map(socket => socket.close()));
	});

	test('who does not listen is closed 4029', async () => {
		const user = await world.user('carol');
		const socket = await world.connect(user);
		const flood = setInterval(() => {
			for (let n = 0; n < 10; n++)
				socket.call('get_profile').catch(() => {});
		}, 50);
		const { code } = await socket.ending().finally(() => clearInterval(flood));
		assert.equal(code, 4029);
	});

	test('a flood of batches is closed 4029, and the worker lives on', async () => {
		const socket = await world.connect(await world.user('dave'));
		const workers = await world.gateway.workers();
		for (let n = 0; n < 3; n++)
			socket.send(Array.from({ length: 32 }, (_, id) => ({ jsonrpc: '2.0', id: `${n}.${id}`, method: 'get_profile' })));
		assert.equal((await socket.ending()).code, 4029);
		assert.deepEqual(await world.gateway.workers(), workers);
	});
});

describe('bytes a second', () => {
	test('short messages are 2 kB each, by sockets and by requests', async () => {
		const world = await World.start({ knobs: { workers: 1, inbound_rate: '100kB' } });
		const [alice, bob, carol] = await world.crowd(3);
		const [flooder, other] = await Promise.all([world.connect(alice), world.connect(bob)]);
		let done = 0;
		const flood = Promise.all(Array.from({ length: 100 }, () => flooder.call('get_profile').then(() => done++)));
		await until(() => done >= 40, 'the first ones');
		await other.call('get_profile');
		assert.ok(done < 100, 'the last of them are read later');
		await flood;
		const statuses = await Promise.all(Array.from({ length: 90 }, () => fetch(`${world.http}/rpc`, {
			method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${carol.token}` },
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'get_profile' })
		}).then(({ status }) => status)));
		assert.deepEqual([...new Set(statuses)].sort(), [200, 429]);
		await Promise.all([flooder, other].map(socket => socket.close()));
		await world.stop();
	});

	test('who sends more is read later, is refused by request, and holds back nobody else', async () => {
		const world = await World.start({ knobs: { workers: 1, inbound_rate: '100kB' } });
		const [alice, bob] = await world.crowd(2);
		const body = { body: 'x'.repeat(40000) };
		const [flooder, second, other] = await Promise.all([world.connect(alice), world.connect(alice), world.connect(bob)]);
		const rpc = user => fetch(`${world.http}/rpc`, {
			method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${user.token}` },
			body: JSON.stringify([1, 2].map(id => ({ jsonrpc: '2.0', id, method: 'get_profile' })))
		}).then(answer => answer.json());
		const done = [];
		const flood = Array.from({ length: 12 }, (_, i) => [flooder, second][i % 2].call('get_profile', body).catch(error => done.push(error.data.reason)));
		await until(() => done.length >= 2, 'the first ones');
		await Promise.all(Array.from({ length: 5 }, () => other.call('get_profile')));
		const [one, two] = await rpc(alice);
		assert.ok(done.length < 12, 'two sockets of one user have one rate');
		for (const { error } of [one, two])
			assert.deepEqual([error.code, error.data.reason, error.data.retry_after_ms > 0], [429, 'rate_limited', true]);
		assert.equal((await rpc(bob))[0].result.id, bob.id);
		await Promise.all(flood);
		assert.deepEqual([...new Set(done)], ['invalid_params']);
		const metrics = await (await fetch(`${world.http}/metrics`)).text();
		assert.ok(Number(/reads_paused_total (\d+)/.exec(metrics)[1]) > 0);
		await Promise.all([flooder, second, other].map(socket => socket.close()));
		await world.stop();
	});
});

describe('anonymous calls a second', () => {
	test('of one address, or one /64, and of nobody else', async () => {
		const world = await World.start({ knobs: { anonymous_per_second: 1, anonymous_burst: 4, trusted_proxies: '127.0.0.1' } });
		const from = async address => {
			const socket = await world.connect(null, { 'X-Forwarded-For': address });
			const answers = await Promise.allSettled(Array.from({ length: 6 }, () => socket.call('e2e_hello')));
			await socket.close();
			return answers.map(({ reason }) => reason?.code);
		};
		await world.sql(`CREATE FUNCTION chat.e2e_hello() RETURNS text LANGUAGE sql AS $$ SELECT 'hello' $$;
			GRANT EXECUTE ON FUNCTION chat.e2e_hello TO chat_anonymous`);
		const early = await world.connect(null, { 'X-Forwarded-For': '198.51.100.1' });
		await until(() => early.call('e2e_hello').catch(() => null), 'the function');
		await early.close();
		assert.deepEqual((await from('192.0.2.1')).filter(code => code === 429).length, 2);
		assert.ok((await from('192.0.2.1')).filter(code => code === 429).length >= 4, 'on another socket');
		assert.equal((await from('192.0.2.2')).filter(code => code === 429).length, 2);
		await from('2001:db8:0:1::1');
		assert.ok((await from('2001:db8:0:1::2')).filter(code => code === 429).length >= 4, 'the same /64');
		assert.equal((await from('2001:db8:0:2::1')).filter(code => code === 429).length, 2);
		const [alice] = await world.crowd(1);
		const socket = await world.connect(alice, { 'X-Forwarded-For': '192.0.2.1' });
		await Promise.all(Array.from({ length: 20 }, () => socket.call('get_profile')));
		await socket.close();
		await world.stop();
	});
});

describe('sockets of one user', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 1, max_sockets_per_user: 3, outbound_limit: '256kB', outbound_limit_per_user: '512kB' } });
	});
	after(() => world.stop());

	test('beyond max_sockets_per_user: 429, or 1013, and room again when one has gone', async () => {
		const [alice, bob] = await world.crowd(2);
		const held = await Promise.all([1, 2, 3].map(() => world.connect(alice)));
		const upgraded = new Socket(world.url, { Authorization: `Bearer ${alice.token}` });
		assert.deepEqual(await upgraded.ending(), { code: 1013, reason: 'too_many_sockets' });
		const late = await world.connect();
		const { code, data } = await refused(late.call('authenticate', { token: alice.token }));
		assert.deepEqual([code, data.reason], [429, 'too_many_sockets']);
		const ask = path => fetch(`${world.http}${path}`, {
			method: path === '/rpc' ? 'POST' : 'GET', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${alice.token}` },
			body: path === '/rpc' ? JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'get_profile' }) : undefined
		});
		for (const path of ['/rpc', '/events'])
		{
			const answer = await ask(path);
			assert.deepEqual([answer.status, (await answer.json()).error.data.reason], [429, 'too_many_sockets'], path);
		}
		const other = await world.connect(bob);
		assert.equal((await other.call('get_profile')).id, bob.id);
		await held.pop().close();
		await until(() => late.call('authenticate', { token: alice.token }).then(() => true, () => false), 'room');
		await Promise.all([...held, late, other].map(socket => socket.close()));
	});

	test('have one bound for what they do not read, and one that reads misses nothing', async () => {
		const { sender, small, members } = await world.party(2);
		const [slow] = members;
		const sockets = await Promise.all([1, 2, 3].map(() => world.connect(slow)));
		const calm = await world.connect(members[1]);
		const deaf = sockets.slice(1);
		for (const socket of deaf)
			socket.ws.pause();
		const queued = async () => Number(/^chat_gateway_outbound_queue_bytes (\d+)/m.exec(await (await fetch(`${world.http}/metrics`)).text())[1]);
		const body = '€'.repeat(2000);
		let most = 0;
		const ids = [];
		for (let n = 0; n < 60; n++)
		{
			ids.push(...(await Promise.all(Array.from({ length: 40 }, () => sender.call('send_message', { chat_id: small, body })))).map(({ id }) => id));
			most = Math.max(most, await queued());
			if (await value(world, 'events_dropped_total') > 0 && n > 40)
				break;
		}
		assert.ok(await value(world, 'events_dropped_total') > 0, 'the kernel takes no more');
		assert.ok(most < 3 << 18, `${most} bytes queued`);
		for (const socket of [sockets[0], calm])
			await world.haveAll([socket], [small]);
		assert.equal((await sockets[0].call('get_profile')).id, slow.id);
		for (const socket of deaf)
			socket.ws.terminate();
		await Promise.all([sender, sockets[0], calm].map(socket => socket.close()));
	});
});

const value = async (world, name) => Number(new RegExp(`^chat_gateway_${name} (\\d+)`, 'm').exec(await (await fetch(`${world.http}/metrics`)).text())[1]);

describe('clients that are gone without a word', () => {
	test('a socket that answers no ping is closed in time', async () => {
		const world = await World.start({ knobs: { ping_interval: '1s' } });
		const quiet = await world.connect();
		const raw = new Raw(world.port).write('GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
			'Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n');
		assert.equal(await raw.status(), 101);
		await within(raw.end, 'end', 6000);
		assert.equal(await quiet.call('ping'), 'pong', 'whose pongs come stays');
		raw.close();
		await quiet.close();
		await world.stop();
	});

	test('one that is not read because its calls take long is not among them', async () => {
		const world = await World.start({ knobs: { ping_interval: '1s', calls_in_flight: 1 } });
		await world.sql(`CREATE FUNCTION chat.nap(actor_id bigint, seconds integer) RETURNS integer LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(seconds)';
			GRANT EXECUTE ON FUNCTION chat.nap TO chat_user`);
		const socket = await world.connect(await world.user('erin'));
		await until(() => socket.call('nap', { seconds: 0 }).catch(() => null), 'the function');
		assert.equal(await socket.call('nap', { seconds: 4 }), 1);
		await socket.close();
		await world.stop();
	});
});

describe('descriptors', () => {
	test('none left: those who are there notice nothing, and others come in again later', async () => {
		const world = await World.start();
		const port = await freePort();
		const gateway = new Gateway([`--listen=127.0.0.1:${port}`, `--database=host=${world.sockets} port=5432 dbname=chat user=gateway`], world.env, ['prlimit', '--nofile=100:100']);
		await gateway.ready(port);
		const socket = new Socket(`ws://127.0.0.1:${port}/ws`);
		await within(socket.opened, 'handshake');
		const crowd = Array.from({ length: 120 }, () => new Raw(port).write(get));
		await until(() => /out_of_descriptors/.test(gateway.log), 'the log says so');
		assert.equal(await socket.call('ping'), 'pong');
		for (const raw of crowd)
			raw.close();
		await until(async () => (await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null))?.status === 200, 'room');
		assert.equal(await socket.call('ping'), 'pong');
		await socket.close();
		assert.equal((await gateway.stop()).code, 0);
		await world.stop();
	});
});

describe('files on their way', () => {
	const token = user => `Authorization: Bearer ${user.token}\r\n`;
	// An upload whose body is awaited; or its refusal.
	const begin = async (world, user, length = 5) => {
		const raw = new Raw(world.port).write(`POST /files?name=held HTTP/1.1\r\nHost: x\r\n${token(user)}Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`);
		return Object.assign(raw, { came: await raw.status() });
	};
	const send = async (world, user) => (await fetch(`${world.http}/files?name=sent`, { method: 'POST', headers: { Authorization: `Bearer ${user.token}` }, body: 'sent' })).status;

	test('beyond max_transfers: 503, and room again when one is over', async () => {
		const world = await World.start({ knobs: { max_transfers: 1 } });
		const [alice, bob] = await world.crowd(2);
		const headers = { Authorization: `Bearer ${bob.token}` };
		const held = await begin(world, alice);
		assert.equal(held.came, 100);
		const more = await fetch(`${world.http}/files/1`, { headers });
		assert.deepEqual([more.status, (await more.json()).error.data.reason], [503, 'too_many_transfers']);
		assert.ok(more.headers.get('retry-after'));
		held.write('12345');
		assert.equal(await held.status(2), 201);
		assert.equal((await fetch(`${world.http}/files/1`, { headers })).status, 404);
		held.close();
		await world.stop();
	});

	test('of one user: 429 at half of them, and others find room', async () => {
		const world = await World.start({ knobs: { max_transfers: 6 } });
		const [mallory, bob] = await world.crowd(2);
		const held = [];
		for (let n = 0; n < 3; n++)
			held.push(await begin(world, mallory));
		const more = [await begin(world, mallory), await begin(world, mallory)];
		assert.deepEqual([...held, ...more].map(({ came }) => came), [100, 100, 100, 429, 429]);
		assert.match(more[0].text, /"too_many_transfers"/);
		assert.match(more[0].text, /^Retry-After: \d+\r$/m);
		assert.equal((await fetch(`${world.http}/files/1`, { headers: { Authorization: `Bearer ${mallory.token}` } })).status, 429, 'on their way out, too');
		assert.equal(await send(world, bob), 201);
		held[0].write('12345');
		assert.equal(await held[0].status(2), 201);
		assert.equal(await send(world, mallory), 201);
		for (const raw of [...held, ...more])
			raw.close();
		await world.stop();
	});

	test('of one user: 429 beyond max_transfers_per_user', async () => {
		const world = await World.start({ knobs: { max_transfers_per_user: 1 } });
		const [mallory, bob] = await world.crowd(2);
		const held = await begin(world, mallory);
		assert.deepEqual([held.came, await send(world, mallory), await send(world, bob)], [100, 429, 201]);
		held.close();
		await world.stop();
	});

	test('of one address, as long as nobody knows whose they are', async () => {
		let relay;
		const world = await World.start({ knobs: async self => ({ max_transfers_per_user: 2, database: (relay = await Relay.start(self)).dsn }) });
		const ask = address => new Raw(world.port, address).write('GET /files/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\n\r\n');
		relay.mute();
		const held = [ask(), ask()];
		await until(async () => {
			const raw = ask();
			held.push(raw);
			await Promise.race([raw.status(), raw.end, new Promise(done => setTimeout(done, 200))]);
			return raw.statuses[0] === 429;
		}, '429');
		const other = ask('127.0.0.2');
		relay.unmute();
		assert.equal(await other.status(), 401, 'another address is asked who it is');
		for (const raw of [...held, other])
			raw.close();
		await world.stop();
		relay.stop();
	});
});

describe('files that trickle', () => {
	let world;
	let mallory;
	before(async () => {
		world = await World.start({ knobs: { slow_timeout: '2s', slow_rate: '4kB' } });
		[mallory] = await world.crowd(1);
	});
	after(() => world.stop());

	const bearer = () => ({ Authorization: `Bearer ${mallory.token}` });
	const begin = (name, length) => new Raw(world.port)
		.write(`POST /files?name=${name}&size=${length}&client_key=${name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\nContent-Length: ${length}\r\n\r\n`);

	test('in: 408, what has come is kept, and the upload goes on from there', async () => {
		const bytes = Buffer.alloc(50000, 'x');
		const raw = begin('trickle', bytes.length);
		let at = 0;
		const drip = setInterval(() => raw.socket.write(bytes.subarray(at, at += 200)), 100); // half of slow_rate
		assert.equal(await raw.status().finally(() => clearInterval(drip)), 408);
		assert.match(raw.text, /"too_slow"/);
		await within(raw.end, 'end');
		raw.close();
		const stands = async () => {
			const response = await fetch(`${world.http}/files?${new URLSearchParams({ name: 'trickle', size: bytes.length, client_key: 'trickle' })}`, { method: 'POST', headers: bearer() });
			return response.json();
		};
		const { id, received } = await until(async () => {
			const row = await stands();
			return Number(row.received) > 0 && row;
		}, 'what has come');
		assert.ok(Number(received) <= at && Number(received) > at - 1000, `${received} of ${at}`);
		const rest = await fetch(`${world.http}/files?upload_id=${id}&byte_offset=${received}`, { method: 'POST', headers: bearer(), body: bytes.subarray(Number(received)) });
		assert.equal(rest.status, 201);
	});

	test('but one that pauses and goes on is waited for', async () => {
		const bytes = Buffer.alloc(60000, 'y');
		const raw = begin('mobile', bytes.length);
		let at = 0;
		const burst = () => raw.socket.write(bytes.subarray(at, at += 12000)); // every 1.2 s: 10 kB/s
		burst();
		const bursts = setInterval(burst, 1200);
		assert.equal(await raw.status().finally(() => clearInterval(bursts)), 201);
		raw.close();
	});

	test('a short body is refused in time, whatever it does', async () => {
		const raw = new Raw(world.port).write('POST /rpc HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n');
		const drip = setInterval(() => raw.write('          '.repeat(100)), 100); // more than slow_rate
		assert.equal(await raw.status().finally(() => clearInterval(drip)), 408);
		await within(raw.end, 'end');
		raw.close();
	});

	test('out: cut; and one that reads on gets all', async () => {
		const size = 24 << 20; // more than the kernel's buffers of both ends
		const own = await World.start({ knobs: { slow_timeout: '2s', slow_rate: '2MB' } });
		await own.sql(`SELECT chat.set_setting('file_max_bytes', '${size}')`);
		const [reader] = await own.crowd(1);
		const headers = { Authorization: `Bearer ${reader.token}` };
		const { id } = await (await fetch(`${own.http}/files?name=big`, { method: 'POST', headers, body: Buffer.alloc(size) })).json();
		const take = pause => {
			const raw = new Raw(own.port);
			raw.got = 0;
			raw.socket.removeAllListeners('data').on('data', data => {
				raw.got += data.length;
				if (!pause)
					return;
				raw.socket.pause();
				setTimeout(() => raw.socket.resume(), pause);
			});
			return raw.write(`GET /files/${id} HTTP/1.1\r\nHost: x\r\nAuthorization: ${headers.Authorization}\r\nConnection: close\r\n\r\n`);
		};
		const slow = take(200); // 64 kB each: a seventh of slow_rate
		await within(slow.end, 'cut', 20000);
		assert.ok(slow.got < size, `${slow.got} bytes`);
		const quick = take(0);
		await within(quick.end, 'all of it', 30000);
		assert.ok(quick.got > size, `${quick.got} bytes`);
		for (const raw of [slow, quick])
			raw.close();
		await own.stop();
	});
});
