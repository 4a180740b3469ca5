// SPDX-License-Identifier: PostgreSQL
// Which pages may use the gateway: Origin at requests, at upgrades, and in the browser's question before.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { request } from 'node:http';
import { once } from 'node:events';
import { Socket, within, World } from './harness.js';

const ask = async (world, path, { method = 'GET', headers = {}, body } = {}) => {
	const asked = request(`${world.http}${path}`, { method, headers, agent: false });
	asked.end(body);
	const [response] = await within(once(asked, 'response'), 'answer');
	response.resume();
	return { status: response.statusCode, headers: response.headers };
};
const ping = origin => ({ method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"ping"}', headers: { 'Content-Type': 'application/json', Origin: origin } });
const upgrades = async (world, origin) => {
	const socket = new Socket(world.url, { Origin: origin });
	const status = await within(socket.opened, 'handshake').then(() => 101, error => error.status);
	socket.ws.terminate();
	return status;
};

describe('by default: the same origin only', () => {
	let world;
	before(async () => {
		world = await World.start();
	});
	after(() => world.stop());

	test('requests', async () => {
		for (const [origin, status] of [[world.http, 200], [world.http.replace('http:', 'https:'), 200], [world.http.toUpperCase().replace('HTTP', 'http'), 200],
			['http://127.0.0.1', 403], ['http://evil.example', 403], [`${world.http}.evil.example`, 403], [`http://evil.example/${world.http}`, 403], ['null', 403], ['', 403]])
			assert.equal((await ask(world, '/rpc', ping(origin))).status, status, origin);
		assert.equal((await ask(world, '/rpc', { ...ping(), headers: { 'Content-Type': 'application/json' } })).status, 200);
		assert.equal((await ask(world, '/', { headers: { Origin: 'http://evil.example' } })).headers['access-control-allow-origin'], undefined);
	});

	test('upgrades', async () => {
		assert.equal(await upgrades(world, world.http), 101);
		assert.equal(await upgrades(world, 'http://evil.example'), 403);
		assert.equal(await upgrades(world, 'null'), 403);
	});

	test('the question before', async () => {
		const question = { method: 'OPTIONS', headers: { Origin: 'http://evil.example', 'Access-Control-Request-Method': 'POST' } };
		assert.equal((await ask(world, '/rpc', question)).status, 403);
		assert.equal((await ask(world, '/rpc', { method: 'OPTIONS' })).status, 405);
	});
});

describe('allowed_origins', () => {
	let world;
	const good = 'https://app.example';
	before(async () => {
		world = await World.start({ knobs: { allowed_origins: `${good}, http://localhost:3000` } });
	});
	after(() => world.stop());

	test('are let in and told so, also of failures', async () => {
		for (const origin of [good, 'http://localhost:3000', world.http])
		{
			const { status, headers } = await ask(world, '/rpc', ping(origin));
			assert.deepEqual([status, headers['access-control-allow-origin'], headers.vary], [200, origin, 'Origin']);
			assert.equal(await upgrades(world, origin), 101);
		}
		for (const origin of ['https://app.example:444', 'http://app.example', 'https://app.example.evil', 'http://localhost:30000'])
			assert.equal((await ask(world, '/rpc', ping(origin))).status, 403, origin);
		const late = await ask(world, '/files/1', { headers: { Origin: good, Authorization: 'Bearer nonsense' } });
		assert.deepEqual([late.status, late.headers['access-control-allow-origin']], [401, good]);
		assert.match(late.headers['access-control-expose-headers'], /Content-Range/);
	});

	test('get their question answered', async () => {
		const { status, headers } = await ask(world, '/files?name=x', { method: 'OPTIONS', headers: { Origin: good, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' } });
		assert.equal(status, 204);
		assert.equal(headers['access-control-allow-origin'], good);
		assert.match(headers['access-control-allow-methods'], /POST/);
		assert.match(headers['access-control-allow-headers'], /Authorization/);
		assert.match(headers['access-control-allow-headers'], /traceparent/);
	});
});

test('*: everybody', async () => {
	const world = await World.start({ knobs: { allowed_origins: '*' } });
	assert.equal((await ask(world, '/rpc', ping('http://evil.example'))).headers['access-control-allow-origin'], 'http://evil.example');
	assert.equal(await upgrades(world, 'null'), 101);
	await world.stop();
});
