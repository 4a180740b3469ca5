// SPDX-License-Identifier: PostgreSQL
// A login that ends takes its sockets along, also where nobody was there to hear of its end, and when its time is over.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, Relay, sleep, until, within, World } from './harness.js';

describe('ended logins', () => {
	let world;
	let calls;
	let listen;
	let alice;

	before(async () => {
		world = await World.start({
			knobs: async world => {
				calls ??= await Relay.start(world);
				listen ??= await Relay.start(world);
				return { workers: 1, database: calls.dsn, listen_database: listen.dsn };
			}
		});
		alice = await world.user('alice');
	});
	after(async () => {
		await world.stop();
		calls.stop();
		listen.stop();
	});

	const newSession = async lifetime => {
		const [token, session_id] = (await world.sql(`SELECT token, session_id FROM chat.create_session(${alice.id}, lifetime => '${lifetime}')`)).split('|');
		return { ...alice, token, session_id };
	};
	const end = ({ session_id }) => world.sql(`DELETE FROM chat.sessions WHERE id = ${session_id}`);
	const listening = () => until(async () => listen.pairs.size > 0 && (await fetch(`${world.http}/readyz`)).status === 200, 'LISTEN again');

	test('one that ends while nothing is heard is closed 4003 when LISTEN is back; others stay', async () => {
		const session = await newSession('1 day');
		const victim = await world.connect(session);
		const other = await world.connect(alice);
		listen.cut();
		await end(session);
		listen.allow();
		assert.equal((await victim.ending('4003')).code, 4003);
		await other.reply(frame => frame.method === 'synced');
		assert.equal((await other.call('get_profile')).id, alice.id);
		await other.close();
	});

	test('one that ends before its channel is heard is refused, and its socket closed 4003', async () => {
		const bob = await world.user('bob');
		const socket = await world.connect();
		await listening();
		listen.cut();
		const answer = refused(socket.call('authenticate', { token: bob.token }));
		await until(async () => await world.sql(`SELECT count(*) FROM chat.sessions s WHERE s.id = ${bob.session_id} AND s.last_seen_at > s.created_at`).catch(() => 1), 'checked');
		await sleep(200);
		await end(bob);
		listen.allow();
		const error = await answer;
		assert.deepEqual([error.code, error.data.reason], [401, 'bad_token']);
		assert.equal((await socket.ending('4003')).code, 4003);
	});

	test('one that ends while its check is on the way to the gateway is refused, on a channel that is heard', async () => {
		await listening();
		const other = await world.connect(alice);
		const session = await newSession('1 day');
		const socket = await world.connect();
		calls.mute();
		const answer = refused(socket.call('authenticate', { token: session.token }));
		await sleep(300);
		await end(session);
		await sleep(200);
		calls.unmute();
		assert.equal((await answer).code, 401);
		assert.equal((await socket.ending('4003')).code, 4003);
		assert.equal((await other.call('get_profile')).id, alice.id);
		await other.close();
	});

	test('one that ends while calls run hears nothing more, begins nothing more, and is closed within a second', async () => {
		await world.sql(`CREATE FUNCTION chat.nap(actor_id bigint, chat_id bigint, seconds float8) RETURNS text LANGUAGE sql AS 'SELECT $$slept$$ FROM pg_sleep(seconds)';
			GRANT EXECUTE ON FUNCTION chat.nap TO chat_user`);
		const [bob] = await world.crowd(1);
		const b = await world.connect(bob);
		const { id: chat_id } = await b.call('create_group', { title: 'both', member_ids: [alice.id] });
		const session = await newSession('1 day');
		const victim = await world.connect(session);
		const other = await world.connect(alice);
		await until(() => victim.call('nap', { chat_id, seconds: 0 }).catch(() => null), 'the function');
		victim.call('nap', { chat_id, seconds: 3 }).catch(() => {});
		const behind = refused(victim.call('send_message', { chat_id, body: 'behind it' }));
		const started = Date.now();
		await end(session);
		assert.equal((await behind).code, 401);
		const { id } = await b.call('send_message', { chat_id, body: 'not for all' });
		await other.event(event => event.id === id);
		assert.equal((await victim.ending()).code, 4003);
		assert.ok(Date.now() - started < 1500, `after ${Date.now() - started} ms`);
		assert.ok(!victim.events.some(event => event.id === id));
		assert.equal(await world.sql(`SELECT count(*) FROM chat.messages WHERE chat_id = ${chat_id} AND body = 'behind it'`), '0');
		await Promise.all([b.close(), other.close()]);
	});

	test('one whose time is over is closed 4009', async () => {
		const socket = await world.connect(await newSession('1 second'));
		assert.equal((await socket.ending('4009', 5000)).code, 4009);
	});

	test('one that was refreshed goes on', async () => {
		const socket = await world.connect(await newSession('1 second'));
		await socket.call('refresh_session');
		await assert.rejects(within(socket.closed, 'no close', 2500), /not within/);
		assert.equal((await socket.call('get_profile')).id, alice.id);
		await socket.close();
	});

	test('with no database to ask, one whose time is over is closed when there is one again', async () => {
		const socket = await world.connect(await newSession('1 second'));
		calls.cut();
		await sleep(1500);
		assert.equal(socket.ended, undefined);
		calls.allow();
		assert.equal((await socket.ending('4009')).code, 4009);
	});
});
