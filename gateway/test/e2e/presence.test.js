// SPDX-License-Identifier: PostgreSQL
// Who is there: the leases that workers hold, and what sockets that watch are told.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { freePort, Gateway, refused, Socket, until, within, World } from './harness.js';

const of = (user, status) => event => event.type === 'presence_changed' && event.user_id === user.id && (!status || event.status === status);
const presences = socket => socket.pushes.filter(([, params]) => params.type === 'presence_changed').map(([, { user_id, status }]) => [user_id, status]);

// What comes to one who watches, whatever way events take.
const watching = (name, knobs) => describe(`watch_presence, ${name}`, () => {
	let world;
	let alice;
	let bob;
	let a;
	before(async () => {
		world = await World.start({ knobs });
		[alice, bob] = await world.crowd(2);
		a = await world.connect(alice);
		const { id } = await a.call('create_group', { title: 'both', member_ids: [bob.id] });
		await world.sql(`SELECT chat.send_message(${bob.id}, ${id}, 'seen from here on')`);
	});
	after(() => world.stop());

	test('tells at once how they are, then what changes', async () => {
		assert.equal(await a.call('watch_presence', { user_ids: [bob.id, alice.id, bob.id] }), null);
		assert.equal((await a.event(of(bob))).status, 'offline');
		const own = await a.event(of(alice, 'online'));
		assert.ok(own.version && own.at);
		const b = await world.connect(bob);
		assert.equal((await a.event(of(bob))).status, 'online');
		await b.call('set_presence', { status: 'busy', status_text: 'in a meeting' });
		const busy = await a.event(of(bob));
		assert.deepEqual([busy.status, busy.status_text], ['busy', 'in a meeting']);
		await b.close();
		const gone = await a.event(of(bob));
		assert.deepEqual([gone.status, Date.now() - Date.parse(gone.last_seen_at) < 10000], ['offline', true]);
	});

	test('a second device is no news, nor is the first that leaves', async () => {
		const one = await world.connect(bob);
		await a.event(of(bob, 'busy'));
		const other = await world.connect(await world.sql(`SELECT token FROM chat.create_session(${bob.id})`).then(token => ({ token })));
		const count = () => presences(a).length;
		const before = count();
		await until(() => world.sql(`SELECT count(*) = 2 FROM chat.live_sessions WHERE user_id = ${bob.id}`).then(text => text === 't'), 'both are told');
		await one.close();
		await until(() => world.sql(`SELECT count(*) = 1 FROM chat.live_sessions WHERE user_id = ${bob.id}`).then(text => text === 't'), 'one is gone');
		await other.call('set_presence', { status: 'online', status_text: '' });
		await a.event(of(bob, 'online'));
		assert.equal(count(), before + 1);
		await other.close();
		await a.event(of(bob, 'offline'));
	});

	test('who is invisible comes and goes unseen', async () => {
		const b = await world.connect(bob);
		await a.event(of(bob, 'online'));
		await b.call('set_presence', { status: 'invisible' });
		await a.event(of(bob, 'offline'));
		await b.close();
		const again = await world.connect(bob);
		await again.call('watch_presence', { user_ids: [bob.id] });
		await again.event(of(bob, 'invisible'), 'his own state');
		await again.call('set_presence', { status: 'online' });
		await a.event(of(bob, 'online'));
		assert.deepEqual(presences(a).slice(-3).map(([, status]) => status), ['online', 'offline', 'online']);
		await again.close();
		await a.event(of(bob, 'offline'));
	});

	test('who is blocked sees offline once, and nothing after it', async () => {
		const b = await world.connect(bob);
		await a.event(of(bob, 'online'));
		await b.call('block_user', { user_id: alice.id });
		const hidden = await a.event(of(bob));
		assert.deepEqual([hidden.status, hidden.version, hidden.at, hidden.last_seen_at], ['offline', null, null, null]);
		const before = presences(a).filter(([id]) => id === bob.id).length;
		await b.call('set_presence', { status: 'away' });
		await b.call('watch_presence', { user_ids: [bob.id] });
		await b.event(of(bob, 'away'));
		await b.call('unblock_user', { user_id: alice.id });
		await a.event(of(bob, 'away'));
		assert.equal(presences(a).filter(([id]) => id === bob.id).length, before + 1);
		await b.call('set_presence', { status: 'online' });
		await a.event(of(bob, 'online'));
		await b.close();
		await a.event(of(bob, 'offline'));
	});

	test('a stranger who has opened a chat or put somebody into a group is told nothing, till they are answered', async () => {
		const [victim] = await world.crowd(1);
		const v = await world.connect(victim);
		const { id: chat_id } = await a.call('open_direct_chat', { user_id: victim.id });
		await a.call('create_group', { title: 'trap', member_ids: [victim.id] });
		await a.call('send_message', { chat_id, body: 'hi' });
		await a.call('watch_presence', { user_ids: [victim.id] });
		const hidden = await a.event(of(victim));
		assert.deepEqual([hidden.status, hidden.version, hidden.at, hidden.last_seen_at], ['offline', null, null, null]);
		const told = () => presences(a).filter(([id]) => id === victim.id).length;
		const before = told();
		await v.call('watch_presence', { user_ids: [victim.id] });
		await v.event(of(victim, 'online'));
		await v.call('set_presence', { status: 'busy', status_text: 'at home' });
		await v.event(of(victim, 'busy'));
		assert.equal((await a.call('get_user', { user_id: victim.id })).status, 'offline');
		await v.call('send_message', { chat_id, body: 'who are you?' });
		await v.call('set_presence', { status: 'away' });
		assert.deepEqual((await a.event(of(victim))).status, 'away');
		assert.equal(told(), before + 1);
		await a.call('watch_presence', { user_ids: [] });
		await v.close();
	});

	test('a new list takes the place of the old one', async () => {
		const [carol] = await world.crowd(1);
		await a.call('watch_presence', { user_ids: [carol.id] });
		const hidden = await a.event(of(carol));
		assert.deepEqual([hidden.status, hidden.version], ['offline', null]);
		const before = presences(a).length;
		const b = await world.connect(bob);
		await b.call('watch_presence', { user_ids: [bob.id] });
		await b.event(of(bob, 'online'));
		await a.call('watch_presence', { user_ids: [alice.id] });
		await until(() => presences(a).length > before, 'how alice is');
		assert.deepEqual(presences(a).slice(before), [[alice.id, 'online']]);
		await a.call('watch_presence', { user_ids: [] });
		await b.close();
	});

	test('whom there is not is offline like whom one may not see', async () => {
		const [carol] = await world.crowd(1);
		const told = new Map();
		for (const id of [carol.id, '12345', '0', '-1', '9223372036854775807'])
		{
			const { pushes } = a;
			const before = pushes.length;
			await a.call('watch_presence', { user_ids: [id, alice.id] });
			const event = await a.event(of({ id }), id);
			await a.event(of(alice));
			assert.equal(pushes.slice(before).filter(([, params]) => params.user_id === id).length, 1, id);
			told.set(id, JSON.stringify(event).replace(`"${id}"`, '"ID"'));
		}
		assert.equal(new Set(told.values()).size, 1, [...told.values()].join('\n'));
		assert.equal(JSON.parse(told.get('12345')).status, 'offline');
		await world.sql(`SELECT chat.set_presence(${alice.id}, 'away')`);
		await a.event(of(alice, 'away'));
		await a.call('watch_presence', { user_ids: [] });
		await world.sql(`SELECT chat.set_presence(${alice.id}, 'online')`);
	});

	test('what it refuses', async () => {
		const nobody = await world.connect();
		assert.equal((await refused(nobody.call('watch_presence', { user_ids: [bob.id] }))).code, 401);
		await nobody.close();
		for (const params of [{}, { user_ids: bob.id }, { user_ids: [null] }, { user_ids: ['x'] }, { user_ids: [], more: 1 },
			{ user_ids: Array.from({ length: 501 }, (_, i) => String(i + 1)) }])
		{
			const { code, data } = await refused(a.call('watch_presence', params));
			assert.deepEqual([code, data.parameter], [-32602, 'user_ids'], JSON.stringify(params));
		}
	});
});

watching('by notifications', { workers: 1 });
watching('from the outbox, without LISTEN', async world => {
	await world.sql("ALTER SYSTEM SET chat.delivery = 'outbox'");
	await world.sql('SELECT pg_reload_conf()');
	await until(async () => await world.sql('SHOW chat.delivery') === 'outbox', 'outbox');
	return { workers: 1, use_listen: 'off', outbox_interval: '20ms' };
});

describe('gaps', () => {
	let world;
	let alice;
	let bob;
	let a;
	let b;
	const dropped = async () => Number(/events_dropped_total (\d+)/.exec(await (await fetch(`${world.http}/metrics`)).text())[1]);
	before(async () => {
		world = await World.start({ knobs: { workers: 1, outbound_limit: '128kB', answer_limit: '3MB' } });
		[alice, bob] = await world.crowd(2);
		[a, b] = [await world.connect(alice), await world.connect(bob)];
		const { id } = await a.call('create_group', { title: 'both', member_ids: [bob.id] });
		await b.call('send_message', { chat_id: id, body: 'seen from here on' });
		await a.call('watch_presence', { user_ids: [bob.id] });
		await a.event(of(bob, 'online'));
	});
	after(() => world.stop());

	test('what changed while nobody listened is told', async () => {
		await world.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chat-gateway' AND query ~ 'chat.listen';
			SELECT chat.set_presence(${bob.id}, 'busy')`);
		await a.event(of(bob, 'busy'));
	});

	test('new names of channels are followed', async () => {
		await world.sql('SELECT chat.rotate_channel_key()');
		await world.sql(`SELECT chat.set_presence(${bob.id}, 'away')`);
		await a.event(of(bob, 'away'));
	});

	test('nobody listens when nobody watches', async () => {
		const changed = () => world.sql("SELECT query_start FROM pg_stat_activity WHERE usename = 'gateway' AND query ~ 'chat.listen'");
		const [c] = await Promise.all([world.connect(alice)]);
		const before = await changed();
		await a.call('watch_presence', { user_ids: [] });
		await until(async () => await changed() !== before, 'UNLISTEN');
		await c.call('watch_presence', { user_ids: [bob.id] });
		await c.event(of(bob, 'away'));
		await world.sql(`SELECT chat.set_presence(${bob.id}, 'online')`);
		await c.event(of(bob, 'online'));
		await c.close();
	});

	test('who reads too slowly is told anew', async () => {
		const slow = await world.connect(alice);
		await slow.call('watch_presence', { user_ids: [bob.id] });
		await slow.event(of(bob, 'online'));
		const chat_id = (await a.call('create_group', { title: 'flood', member_ids: [] })).id;
		await world.sql(`SELECT count(chat.send_message(${alice.id}, ${chat_id}, repeat('汉', 4096))) FROM generate_series(1, 128)`);
		const before = await dropped();
		slow.ws.pause();
		const pages = Array.from({ length: 20 }, () => slow.call('list_messages', { chat_id, page_size: 128 }));
		while (await dropped() === before)
			await Promise.all(Array.from({ length: 10 }, () => a.call('send_message', { chat_id, body: 'x'.repeat(1000) })));
		await world.sql(`SELECT chat.set_presence(${bob.id}, 'away')`);
		await a.call('watch_presence', { user_ids: [bob.id] });
		await a.event(of(bob, 'away'));
		slow.ws.resume();
		await Promise.all(pages);
		await slow.reply(frame => frame.method === 'resync');
		await slow.event(of(bob, 'away'));
		await slow.close();
	});

	test('who reads too slowly, and is replayed to before he is told so', async () => {
		const slow = await world.connect(alice);
		await slow.call('watch_presence', { user_ids: [bob.id] });
		await slow.event(of(bob, 'away'));
		const chat_id = (await a.call('create_group', { title: 'another', member_ids: [] })).id;
		const before = await dropped();
		slow.ws.pause();
		while (await dropped() === before)
			await Promise.all(Array.from({ length: 100 }, () => a.call('send_message', { chat_id, body: 'x'.repeat(4000) })));
		await world.sql(`SELECT chat.set_presence(${bob.id}, 'busy')`);
		await a.event(of(bob, 'busy'));
		const rounds = () => world.gateway.log.match(/event=replaying/g)?.length ?? 0;
		const round = rounds();
		await world.sql('NOTIFY chat_resync');
		await until(() => rounds() > round, 'the round');
		await a.reply(frame => frame.method === 'synced');
		slow.ws.resume();
		await slow.reply(frame => frame.method === 'synced');
		await slow.event(of(bob, 'busy'));
		await slow.close();
	});
});

describe('leases', () => {
	let world;
	before(async () => {
		world = await World.start({ knobs: { workers: 1 } });
		await world.sql("SELECT chat.set_setting('presence_lease', '2 seconds')");
	});
	after(() => world.stop());

	const status = user => world.sql(`SELECT status FROM chat.get_presence(${user.id}, ARRAY[${user.id}])`);

	test('many logins cost few calls', async () => {
		await world.sql("ALTER SYSTEM SET track_functions = 'all'");
		await world.sql('SELECT pg_reload_conf()');
		const crowd = await world.crowd(100);
		const calls = async () => Number(await world.sql("SELECT pg_stat_clear_snapshot(); SELECT coalesce(max(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'renew_presence'")
			.then(text => text.trim()));
		const before = await calls();
		const started = Date.now();
		const sockets = await Promise.all(crowd.map(user => world.connect(user)));
		await until(async () => await world.sql('SELECT count(*) >= 100 FROM chat.live_sessions') === 't', 'all are there');
		assert.ok(await calls() - before <= 3 + (Date.now() - started) / 90, 'as many as there was time for, not as many as logins');
		assert.equal(await world.sql('SELECT count(*) FROM chat.leases WHERE expires_at > now()'), '1');
		await Promise.all(sockets.map(socket => socket.close()));
		await until(async () => await world.sql('SELECT count(*) FROM chat.live_sessions') === '0', 'all are gone');
	});

	test('a lease that lapsed is followed by another, with all who are there', async () => {
		const [bob] = await world.crowd(1);
		const b = await world.connect(bob);
		await until(async () => await status(bob) === 'online', 'online');
		await world.sql('DELETE FROM chat.live_sessions; DELETE FROM chat.leases');
		await until(async () => await status(bob) === 'online', 'online again');
		assert.match(world.gateway.log, /lease_lapsed/);
		await b.close();
		await until(async () => await status(bob) === 'offline', 'offline');
	});

	test('a worker that is killed leaves its users offline when its lease is over, and others are told', async () => {
		const [alice, bob] = await world.crowd(2);
		const port = await freePort();
		const other = new Gateway([`--listen=127.0.0.1:${port}`, `--database=host=${world.sockets} port=5432 dbname=chat user=gateway`, '--drain-seconds=0s'], world.env);
		await other.ready(port);
		const a = new Socket(`ws://127.0.0.1:${port}/ws`, { Authorization: `Bearer ${alice.token}` });
		await within(a.opened, 'handshake');
		const { id: chat_id } = await a.call('open_direct_chat', { user_id: bob.id });
		const b = await world.connect(bob);
		await b.call('send_message', { chat_id, body: 'seen from here on' });
		await a.call('watch_presence', { user_ids: [bob.id] });
		await a.event(of(bob, 'online'));
		const [worker] = await world.gateway.workers();
		process.kill(worker, 'SIGKILL');
		await b.ending();
		await until(async () => await status(bob) === 'offline', 'offline');
		await world.sql('SELECT chat.run_maintenance()');
		await a.event(of(bob, 'offline'));
		const again = await until(() => world.connect(bob).catch(() => null), 'the next worker');
		await a.event(of(bob, 'online'));
		await again.close();
		await a.close();
		await other.stop();
	});

	test('the end of a gateway is the end of its sessions', async () => {
		const [bob] = await world.crowd(1);
		await world.connect(bob);
		await until(async () => await status(bob) === 'online', 'online');
		await world.gateway.stop();
		assert.equal(await world.sql('SELECT count(*) FROM chat.live_sessions'), '0');
		await world.startGateway();
	});
});
