// SPDX-License-Identifier: PostgreSQL
// Who one is: log_in, authenticate, Bearer; how a session ends, and what the sockets of others notice (nothing).

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, Socket, unique, within, World } from './harness.js';

describe('authentication', () => {
	let world;
	let alice;
	let bob;

	before(async () => {
		world = await World.start({ knobs: { auth_timeout: '1s' } });
		alice = await world.user('alice');
		bob = await world.user('bob');
	});
	after(() => world.stop());

	const whoIs = async socket => (await socket.call('get_profile')).id;

	test('calls before authentication are 401', async () => {
		const socket = await world.connect();
		for (const [method, params] of [['get_profile', {}], ['open_direct_chat', { user_id: alice.id }], ['log_out', {}]])
			assert.equal((await refused(socket.call(method, params))).code, 401, method);
		await socket.close();
	});

	test('register_user and log_in work before authentication; log_in authenticates the socket', async () => {
		const socket = await world.connect();
		const name = unique('carol');
		const profile = await socket.call('register_user', { user_name: name, password: 'long enough', display_name: 'Carol' });
		assert.equal(profile.user_name, name);
		assert.equal((await refused(socket.call('get_profile'))).code, 401);
		const login = await socket.call('log_in', { user_name: name, password: 'long enough', device_name: 'here' });
		assert.equal(login.user_id, profile.id);
		assert.ok(login.token.length >= 32);
		assert.match(login.session_id, /^[0-9]+$/);
		assert.match(login.expires_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$/);
		assert.ok(!('error' in login), 'the error column is the gateway\'s own');
		assert.equal(await whoIs(socket), profile.id);
		await socket.close();
	});

	test('a socket that closes while its login is pending does no harm', async () => {
		for (let round = 0; round < 20; round++)
		{
			const sockets = [1, 2, 3, 4].map(() => new Socket(world.url, { Authorization: `Bearer ${alice.token}` }));
			await Promise.all(sockets.map(socket => socket.opened));
			sockets[0].ws.terminate();
			sockets[1].ws.close(1000);
			sockets[2].ws.send(Buffer.from([1, 2, 3]));
			sockets[3].ws.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'authenticate', params: { token: bob.token } }));
			sockets[3].ws.terminate();
			await Promise.all([sockets[0], sockets[1], sockets[3]].map(socket => socket.closed));
			sockets[2].ws.terminate();
		}
		const socket = await world.connect(alice);
		assert.equal(await whoIs(socket), alice.id);
		await socket.close();
	});

	test('a wrong password and an unknown user are the same 401', async () => {
		const socket = await world.connect();
		const wrong = await refused(socket.call('log_in', { user_name: alice.name, password: 'not the password', device_name: 'x' }));
		const unknown = await refused(socket.call('log_in', { user_name: unique('nobody'), password: 'not the password', device_name: 'x' }));
		assert.deepEqual([wrong.code, wrong.data.reason], [401, 'bad_credentials']);
		assert.deepEqual([unknown.code, unknown.text, unknown.data.reason], [wrong.code, wrong.text, wrong.data.reason]);
		await socket.close();
	});

	test('calls wait for a pending log_in', async () => {
		const socket = await world.connect();
		const login = socket.call('log_in', { user_name: alice.name, password: alice.password, device_name: 'eager' });
		const profiles = [whoIs(socket), whoIs(socket)];
		assert.deepEqual(await Promise.all(profiles), [alice.id, alice.id]);
		await login;
		await socket.close();
	});

	test('authenticate with a session token', async () => {
		const socket = await world.connect();
		const pending = socket.call('authenticate', { token: alice.token });
		assert.equal(await whoIs(socket), alice.id);
		const answer = await pending;
		assert.deepEqual([answer.user_id, answer.session_id], [alice.id, alice.session_id]);
		assert.ok(answer.expires_at);
		await socket.close();
	});

	test('Bearer at the upgrade', async () => {
		const socket = await world.connect(alice);
		assert.equal(await whoIs(socket), alice.id);
		await socket.close();
	});

	test('a bad token at the upgrade ends in 4001', async () => {
		for (const token of ['x', 'a'.repeat(43), `${alice.token}x`, "' OR true --"])
		{
			const socket = new Socket(world.url, { Authorization: `Bearer ${token}` });
			const outcome = await within(Promise.race([socket.closed, socket.opened.then(() => socket.closed)]), 'close');
			assert.equal(outcome.code, 4001, token);
		}
	});

	test('a bad token in authenticate is 401, and the socket is closed 4001', async () => {
		const socket = await world.connect();
		const error = await refused(socket.call('authenticate', { token: 'no such token' }));
		assert.equal(error.code, 401);
		assert.equal((await socket.ending()).code, 4001);
	});

	test('a token in the query string is no authentication', async () => {
		const socket = new Socket(`${world.url}?token=${alice.token}&access_token=${alice.token}`);
		await socket.opened;
		assert.equal((await refused(socket.call('get_profile'))).code, 401);
		await socket.close();
	});

	test('a socket that does not log in is closed 4001, one that has is not', async () => {
		const mute = await world.connect();
		const silent = await world.connect(alice);
		assert.equal((await mute.ending('4001 after auth_timeout')).code, 4001);
		assert.equal(await whoIs(silent), alice.id);
		await silent.close();
	});

	test('log_out is answered, then its sockets close 4003 and the token is void', async () => {
		const other = await world.connect(bob);
		const session = await world.logIn(bob);
		const first = await world.connect({ ...bob, ...session });
		const second = await world.connect({ ...bob, ...session });
		await first.call('get_profile');
		await second.call('get_profile');
		await first.call('log_out');
		assert.equal((await first.ending('4003')).code, 4003);
		assert.equal((await second.ending('4003')).code, 4003);
		assert.equal(await whoIs(other), bob.id);
		const late = new Socket(world.url, { Authorization: `Bearer ${session.token}` });
		assert.equal((await late.ending()).code, 4001);
		await other.close();
	});

	test('revoke_session closes that session\'s sockets within a second, no other', async () => {
		const session = await world.logIn(bob);
		const victim = await world.connect({ ...bob, ...session });
		await victim.call('get_profile');
		const own = await world.connect(bob);
		const stranger = await world.connect(alice);
		assert.ok((await own.call('list_sessions')).some(row => row.id === session.session_id));
		await own.call('revoke_session', { session_id: session.session_id });
		assert.equal((await victim.ending('4003', 1000)).code, 4003);
		assert.equal(await whoIs(own), bob.id);
		assert.equal(await whoIs(stranger), alice.id);
		assert.ok(!(await own.call('list_sessions')).some(row => row.id === session.session_id));
		await own.close();
		await stranger.close();
	});

	test('another user\'s session cannot be revoked', async () => {
		const own = await world.connect(bob);
		const stranger = await world.connect(alice);
		await refused(own.call('revoke_session', { session_id: alice.session_id }));
		assert.equal(await whoIs(stranger), alice.id);
		await own.close();
		await stranger.close();
	});
});
