// SPDX-License-Identifier: PostgreSQL
// Events over HTTP: streams that hear what a WebSocket hears, in its order, without a gap over broken connections; tickets
// that open one stream; and every way in which a stream ends.

import assert from 'node:assert/strict';
import { readdir, readlink } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { byId, seen, sleep, storm, until, within, World } from './harness.js';
import { Raw } from './raw.js';
import { Stream } from './stream.js';

const ticketOf = async (world, { token }) => {
	const response = await fetch(`${world.http}/rpc`, { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"create_ticket"}',
		headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' } });
	return (await response.json()).result;
};
const reason = async stream => {
	await within(stream.ended, 'end');
	return JSON.parse(stream.text).error.data.reason;
};
const say = (socket, chat_id, body) => socket.call('send_message', { chat_id, body });

describe('streams of events', () => {
	let world;

	before(async () => {
		world = await World.start({ knobs: { workers: 2, cursor_interval: '1s', ping_interval: '1s', allowed_origins: 'https://app.example' } });
	});
	after(() => world.stop());

	test('what it is told: its cursor first, events, cursors with their id, comments in silence', async () => {
		const { sender, small, members: [member] } = await world.party();
		const stream = await Stream.open(world, { token: member.token, headers: { Origin: 'https://app.example' } });
		assert.equal(stream.status, 200);
		assert.equal(stream.headers['content-type'], 'text/event-stream');
		assert.match(stream.headers['cache-control'], /no-store/);
		assert.equal(stream.headers['access-control-allow-origin'], 'https://app.example');
		const { cursor } = await stream.push('cursor');
		assert.equal(stream.lastId, cursor);
		assert.equal(stream.pushes[0][0], 'cursor');
		assert.ok(stream.retry > 0);
		const { id } = await say(sender, small, 'two\nlines \u2028 and € "quotes"');
		assert.equal((await stream.message(id)).message.body, 'two\nlines \u2028 and € "quotes"');
		const next = await stream.push('cursor', params => byId(params.cursor, id) >= 0);
		assert.equal(stream.lastId, next.cursor);
		await until(() => stream.comments > 0, 'a comment');
		stream.close();
		await sender.close();
	});

	test('who may not: no token, a bad one, a foreign origin, a cursor that is none, methods but GET', async () => {
		const [user] = await world.crowd(1);
		const ask = options => Stream.open(world, options);
		const nobody = await ask({});
		assert.deepEqual([nobody.status, await reason(nobody)], [401, 'not_authenticated']);
		const bad = await ask({ token: 'nonsense' });
		assert.deepEqual([bad.status, await reason(bad)], [401, 'bad_token']);
		assert.equal((await ask({ token: user.token, headers: { Origin: 'https://evil.example' } })).status, 403);
		const future = await world.sql(`SELECT chat.id_at(clock_timestamp() + interval '70 s')`);
		for (const cursor of ['x', '-1', '99999999999999999999', '1.5', '9223372036854775807', future])
			for (const where of [{ since: cursor }, { lastId: cursor }])
			{
				const answer = await ask({ token: user.token, ...where });
				assert.deepEqual([answer.status, await reason(answer)], [400, 'bad_cursor'], cursor);
			}
		for (const method of ['HEAD', 'POST', 'PUT', 'DELETE'])
			assert.equal((await ask({ token: user.token, method })).status, 405, method);
		assert.equal((await ask({ token: user.token, method: 'HEAD' })).headers.allow, 'GET');
	});

	test('HTTP/1.0 gets the same, and the connection ends with it', async () => {
		const { sender, small, members: [member] } = await world.party();
		const raw = new Raw(world.port).write(`GET /events HTTP/1.0\r\nAuthorization: Bearer ${member.token}\r\n\r\n`);
		await until(() => raw.text.includes('event: cursor'), 'a cursor');
		assert.match(raw.text, /Connection: close/);
		assert.doesNotMatch(raw.text, /Content-Length|Transfer-Encoding/);
		const { id } = await say(sender, small, 'old');
		await until(() => raw.text.includes(id), 'the message');
		raw.close();
		await sender.close();
	});

	test('since replays in order, then synced with its id, then live', async () => {
		const { sender, small, large, members: [member] } = await world.party();
		const first = await Stream.open(world, { token: member.token });
		const { cursor: since } = await first.push('cursor');
		first.close();
		const sent = [];
		for (let i = 0; i < 120; i++)
			sent.push((await say(sender, i % 2 ? small : large, `m${i}`)).id);
		const stream = await Stream.open(world, { token: member.token, since });
		const { cursor } = await stream.push('synced');
		assert.equal(stream.lastId, cursor);
		assert.deepEqual(stream.pushes[0], ['cursor', { cursor: since }]);
		const end = stream.pushes.findIndex(([method]) => method === 'synced');
		const ids = stream.pushes.slice(0, end).filter(([method, { type }]) => method === 'event' && type === 'message').map(([, { id }]) => id);
		assert.deepEqual(ids, sent);
		await stream.message((await say(sender, small, 'live')).id);
		stream.close();
		await sender.close();
	});

	test('a reader that is cut off again and again under load, and comes back with Last-Event-ID: no gap', async () => {
		const { sender, chats, members: [member] } = await world.party();
		const stop = storm(sender, chats);
		const all = { pushes: [] };
		let lastId;
		for (let round = 0; round < 10; round++)
		{
			const stream = await Stream.open(world, { token: member.token, lastId });
			await stream.push(lastId === undefined ? 'cursor' : 'synced');
			await sleep(50 * (round % 3)); // broken off wherever it happens to be
			stream.close();
			all.pushes.push(...stream.pushes);
			lastId = stream.lastId;
		}
		await stop();
		const stream = await Stream.open(world, { token: member.token, lastId });
		await stream.push('synced');
		all.pushes.push(...stream.pushes);
		for (const chat_id of chats)
		{
			const ids = seen(all, chat_id).sort(byId);
			const truth = await world.truth(chat_id);
			assert.deepEqual(ids, truth.slice(truth.indexOf(ids[0])));
			assert.ok(ids.length > 20, `${ids.length} events`);
		}
		stream.close();
		await sender.close();
	});

	test('reset and chat_reset are events too', async () => {
		const [user] = await world.crowd(1);
		const stream = await Stream.open(world, { token: user.token, since: '1' });
		await stream.push('synced');
		assert.deepEqual(stream.pushes.map(([method]) => method).filter(method => method !== 'event').slice(0, 3), ['cursor', 'reset', 'synced']);
		stream.close();
	});

	test('the notifications lost: it is replayed like a socket', async () => {
		const { sender, small, members: [member] } = await world.party();
		const stream = await Stream.open(world, { token: member.token });
		await stream.push('cursor');
		await world.sql('NOTIFY chat_resync');
		await stream.push('synced');
		await stream.message((await say(sender, small, 'after it')).id);
		stream.close();
		await sender.close();
	});

	test('a session that is ended takes its streams along, one that is over too', async () => {
		const [user] = await world.crowd(1);
		const [token, session] = (await world.sql(`SELECT token, session_id FROM chat.create_session(${user.id})`)).split('|');
		const [brief] = (await world.sql(`SELECT token FROM chat.create_session(${user.id}, lifetime => '2 s')`)).split('|');
		const [victim, other, short] = await Promise.all([token, user.token, brief].map(token => Stream.open(world, { token })));
		await Promise.all([victim, other, short].map(stream => stream.push('cursor')));
		await world.sql(`DELETE FROM chat.sessions WHERE id = ${session}`);
		await within(victim.ended, 'end', 2000);
		assert.deepEqual(victim.pushes.at(-1), ['close', { code: 4003, reason: 'session_ended' }]);
		await within(short.ended, 'its time', 5000);
		assert.deepEqual(short.pushes.at(-1), ['close', { code: 4009, reason: 'session_expired' }]);
		assert.equal(other.count('close'), 0);
		const refused = await Stream.open(world, { token });
		assert.equal(refused.status, 401);
		other.close();
	});

	test('a client that goes away is noticed without a word', async () => {
		const alone = await World.start({ knobs: { workers: 1, ping_interval: '1000s' } });
		const sockets = async () => {
			const [pid] = await alone.gateway.workers();
			const links = await Promise.all((await readdir(`/proc/${pid}/fd`)).map(fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
			return links.filter(link => link.startsWith('socket:')).length;
		};
		const [user] = await alone.crowd(1);
		const warm = await Stream.open(alone, { token: user.token });
		await warm.push('cursor');
		const before = await sockets();
		const streams = await Promise.all(Array.from({ length: 20 }, () => Stream.open(alone, { token: user.token })));
		await Promise.all(streams.map(stream => stream.push('cursor')));
		assert.ok(await sockets() >= before + 20);
		streams.forEach(stream => stream.close());
		await until(async () => await sockets() <= before, 'they are closed');
		warm.close();
		await alone.stop();
	});

	test('many streams hear the same', async () => {
		const { sender, small, large, members } = await world.party();
		const streams = await Promise.all(Array.from({ length: 200 }, (_, i) => Stream.open(world, { token: members[i % members.length].token })));
		await Promise.all(streams.map(stream => stream.push('cursor')));
		const ids = [];
		for (let i = 0; i < 20; i++)
			ids.push((await say(sender, i % 2 ? small : large, `all ${i}`)).id);
		for (const stream of streams)
		{
			await stream.message(ids.at(-1));
			await stream.message(ids.at(-2));
			assert.deepEqual(stream.pushes.filter(([, event]) => event.type === 'message').map(([, { id }]) => id).sort(byId), ids);
		}
		streams.forEach(stream => stream.close());
		await sender.close();
	});
});

describe('tickets for events', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 3, ticket_lifetime: '3s' } });
	});
	after(() => world.stop());

	test('one opens one stream, and no second one on any worker', async () => {
		const { sender, small, members: [member] } = await world.party();
		const { ticket, url, expires_at } = await ticketOf(world, member);
		assert.equal(url, `/events?ticket=${ticket}`);
		const left = new Date(expires_at) - Date.now();
		assert.ok(left > 1000 && left <= 3000, `${left} ms`);
		const stream = await Stream.open(world, { ticket, headers: { Origin: world.http } });
		const { cursor } = await stream.push('cursor');
		const { id } = await say(sender, small, 'by ticket');
		await stream.message(id);
		for (let i = 0; i < 20; i++)
		{
			const again = await Stream.open(world, { ticket });
			assert.deepEqual([again.status, await reason(again)], [401, 'bad_ticket']);
		}
		stream.close();
		const back = await Stream.open(world, { ticket: (await ticketOf(world, member)).ticket, since: cursor });
		await back.message(id);
		back.close();
		await sender.close();
	});

	test('of many at the same time one gets in', async () => {
		const [user] = await world.crowd(1);
		for (let round = 0; round < 5; round++)
		{
			const { ticket } = await ticketOf(world, user);
			const streams = await Promise.all(Array.from({ length: 30 }, () => Stream.open(world, { ticket })));
			assert.equal(streams.filter(({ status }) => status === 200).length, 1);
			assert.equal(streams.filter(({ status }) => status === 401).length, 29);
			streams.forEach(stream => stream.close());
		}
	});

	test('one that is too old, altered, for a file, or of a login that ended is refused', async () => {
		const [user, other] = await world.crowd(2);
		const refuses = async ticket => assert.equal((await Stream.open(world, { ticket })).status, 401, ticket);
		const old = await ticketOf(world, user);
		const ended = await ticketOf(world, other);
		await world.sql(`DELETE FROM chat.sessions WHERE user_id = ${other.id}`);
		await refuses(ended.ticket);
		for (const bad of ['', 'x', old.ticket.slice(0, -1), `${old.ticket.slice(0, -1)}${old.ticket.endsWith('0') ? 1 : 0}`])
			await refuses(bad);
		const socket = await world.connect(user);
		await refuses((await socket.call('create_ticket', { file_id: '1' })).ticket);
		const { ticket } = await socket.call('create_ticket', {});
		assert.equal((await fetch(`${world.http}/files/1?ticket=${ticket}`)).status, 401);
		await until(() => Date.now() > new Date(old.expires_at), 'its time');
		await refuses(old.ticket);
		await socket.close();
	});

	test('a session that is ended takes the stream of its ticket along', async () => {
		const [user] = await world.crowd(1);
		const stream = await Stream.open(world, { ticket: (await ticketOf(world, user)).ticket });
		await stream.push('cursor');
		await world.sql(`DELETE FROM chat.sessions WHERE user_id = ${user.id}`);
		await within(stream.ended, 'end', 2000);
		assert.equal(stream.pushes.at(-1)[1].code, 4003);
	});
});

describe('limits of streams', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 1, outbound_limit: '64kB', slow_timeout: '10s', max_sockets: 12, cursor_interval: '1s' } });
	});
	after(() => world.stop());

	const flood = (chat_id, count) => world.sql(`SELECT count(chat.send_message(m.user_id, m.chat_id, repeat('汉', 2000))) FROM chat.members m,
		generate_series(1, ${count}) WHERE m.chat_id = ${chat_id} AND m.role = 'owner'`);

	test('a burst of more than outbound_limit is no trouble to a reader that reads', async () => {
		const { sender, small, members: [member] } = await world.party();
		const stream = await Stream.open(world, { token: member.token });
		await stream.push('cursor');
		for (let i = 0; i < 5; i++)
		{
			await flood(small, 50);
			await until(() => stream.count('event') >= 50 * (i + 1) || stream.count('resync'), 'all of them');
		}
		assert.equal(stream.count('resync'), 0);
		stream.close();
		await sender.close();
	});

	test('a reader that pauses is told to resync, and then hears what is new', async () => {
		const { sender, small, large, members: [member, , , , , bystander] } = await world.party(6); // who is in large only
		const witness = await world.connect(bystander);
		const stream = await Stream.open(world, { token: member.token });
		await stream.push('cursor');
		stream.pause();
		for (let i = 0; i < 15; i++)
			await flood(small, 100); // 9 MB: beyond what the kernel keeps
		const { id: marker } = await say(sender, large, 'behind all of them');
		await witness.event(event => event.id === marker, 'the last one relayed');
		stream.resume();
		await stream.push('resync');
		const { id } = await say(sender, small, 'new');
		await stream.message(id);
		assert.ok(stream.count('resync') <= 2, `${stream.count('resync')} resyncs`); // the kernel may take some more once it is full
		assert.ok(stream.count('event') < 1500, 'little was kept for it');
		stream.close();
		await witness.close();
		await sender.close();
	});

	test('one that reads nothing at all is cut', async () => {
		const { sender, small, members: [member] } = await world.party();
		const stream = await Stream.open(world, { token: member.token });
		await stream.push('cursor');
		stream.pause();
		for (let i = 0; i < 15; i++)
			await flood(small, 100);
		await sleep(11000); // slow_timeout, of which nothing can be seen from here
		stream.resume();
		await within(stream.ended, 'end', 3000);
		assert.equal(stream.count('close'), 0);
		await sender.close();
	});

	test('streams count among the sockets', async () => {
		const [user] = await world.crowd(1);
		const fill = async () => {
			const streams = await Promise.all(Array.from({ length: 12 }, () => Stream.open(world, { token: user.token })));
			if (streams.every(({ status }) => status === 200))
				return streams;
			streams.forEach(stream => stream.close());
		};
		const streams = await until(fill, 'twelve, when those of other tests are gone');
		assert.equal((await Stream.open(world, { token: user.token })).status, 503);
		streams.forEach(stream => stream.close());
		await until(async () => (await Stream.open(world, { token: user.token }).then(stream => (stream.close(), stream))).status === 200, 'room again');
	});
});

describe('the end of a gateway', () => {
	test('streams are told when to come back, and nothing is lost meanwhile', async () => {
		const world = await World.start();
		const { sender, small, members } = await world.party();
		const streams = await Promise.all(Array.from({ length: 20 }, (_, i) => Stream.open(world, { token: members[i % 4].token })));
		await Promise.all(streams.map(stream => stream.push('cursor')));
		const { id } = await say(sender, small, 'last');
		await Promise.all(streams.map(stream => stream.message(id)));
		const { code } = await world.gateway.stop();
		assert.equal(code, 0);
		const pauses = new Set();
		for (const stream of streams)
		{
			await within(stream.ended, 'end');
			const [method, { code: said, reason }] = stream.pushes.at(-1);
			assert.deepEqual([method, said], ['close', 1001]);
			assert.equal(stream.retry, JSON.parse(reason).retry_after_ms);
			pauses.add(stream.retry);
		}
		assert.ok(pauses.size > 5, 'not all at the same time');
		await world.startGateway();
		const back = await Stream.open(world, { token: members[0].token, lastId: streams[0].lastId });
		await back.push('synced');
		await back.message(id);
		back.close();
		await world.stop();
	});
});
