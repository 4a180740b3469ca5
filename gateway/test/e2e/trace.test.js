// SPDX-License-Identifier: PostgreSQL
// Traces and logs: a call's trace in the gateway's log, in the database's and at a collector; lines that parse; secrets in none.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Relay, refused, until, World } from './harness.js';

const hex = digits => randomBytes(digits / 2).toString('hex');
const newTrace = (flags = '01') => {
	const [id, parent] = [hex(32), hex(16)];
	return { id, parent, text: `00-${id}-${parent}-${flags}` };
};

// Takes OTLP over HTTP; all spans that came, with their attributes as an object.
class Collector
{
	static async start(port = 0)
	{
		const collector = new Collector();
		collector.spans = [];
		collector.requests = [];
		collector.status = 200;
		collector.server = createServer(async (request, response) => {
			let text = '';
			for await (const chunk of request)
				text += chunk;
			const body = JSON.parse(text);
			collector.requests.push({ url: request.url, method: request.method, type: request.headers['content-type'], body });
			if (collector.status === 200)
				for (const { scopeSpans } of body.resourceSpans)
					for (const { spans } of scopeSpans)
						collector.spans.push(...spans.map(span => ({ ...span, attributes: Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)])) })));
			if (collector.status)
				response.writeHead(collector.status, { 'Content-Type': 'application/json' }).end('{}');
		}).listen(port, '127.0.0.1');
		await once(collector.server, 'listening');
		return collector;
	}

	get url() { return `http://127.0.0.1:${this.server.address().port}`; }

	of(trace) { return this.spans.filter(span => span.traceId === trace.id); }

	async spansOf(trace, count)
	{
		await until(() => this.of(trace).length >= count, `${count} spans of ${trace.id}`);
		return this.of(trace);
	}

	stop()
	{
		this.server.closeAllConnections();
		this.server.close();
	}
}

// A call in a trace, over the socket.
async function call(socket, method, params, traceparent)
{
	const id = socket.nextId++;
	socket.send({ jsonrpc: '2.0', id, method, params, traceparent });
	return socket.reply(frame => frame.id === id);
}

const counter = async (world, name) => Number(new RegExp(`^chat_gateway_${name} (.*)$`, 'm').exec(await (await fetch(`${world.http}/metrics`)).text())[1]);
const lines = log => log.split('\n').filter(Boolean);

describe('a sampled call', () => {
	let world;
	let collector;
	let alice;
	let socket;
	before(async () => {
		collector = await Collector.start();
		world = await World.start({ knobs: { otlp_endpoint: collector.url, log_format: 'json', log_level: 'debug', trace_limit: '20' } });
		await world.sql(`CREATE FUNCTION chat.named(actor_id bigint) RETURNS text LANGUAGE sql AS $$ SELECT pg_sleep(0.02); SELECT current_setting('application_name') $$;
			CREATE FUNCTION chat.breaks(actor_id bigint) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / 0; END $$;
			CREATE FUNCTION chat.bursts(actor_id bigint) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'it burst' USING ERRCODE = 'XX000'; END $$;
			GRANT EXECUTE ON FUNCTION chat.named, chat.breaks, chat.bursts TO chat_user`);
		await world.sql("ALTER SYSTEM SET log_line_prefix = '%m [%p] %a '");
		await world.sql('SELECT pg_reload_conf()');
		alice = await world.user('alice');
		socket = await world.connect(alice);
		await until(async () => (await socket.call('named').catch(() => '')) === 'chat-gateway', 'the functions');
	});
	after(async () => {
		await world.stop();
		collector.stop();
	});

	test('has spans beneath its caller\'s, and a name in the database', async () => {
		const trace = newTrace();
		const { result } = await call(socket, 'named', {}, trace.text);
		const spans = await collector.spansOf(trace, 3);
		assert.equal(spans.length, 3);
		const [server, queue, database] = ['named', 'queue', 'database'].map(name => spans.find(span => span.name === name));
		assert.equal(server.parentSpanId, trace.parent);
		assert.equal(server.kind, 2);
		assert.deepEqual(server.attributes, { 'rpc.system': 'jsonrpc', 'rpc.method': 'named' });
		assert.equal(server.status, undefined);
		assert.equal(queue.parentSpanId, server.spanId);
		assert.equal(database.parentSpanId, server.spanId);
		assert.equal(database.kind, 3);
		assert.equal(database.attributes['db.system'], 'postgresql');
		assert.equal(result, `chat-gateway ${trace.id}-${database.spanId}`);
		const [start, end] = [BigInt(server.startTimeUnixNano), BigInt(server.endTimeUnixNano)];
		assert.ok(Math.abs(Number(start / 1000000n) - Date.now()) < 60000);
		for (const span of [queue, database])
			assert.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano));
		assert.ok(BigInt(database.endTimeUnixNano) - BigInt(database.startTimeUnixNano) >= 20000000n);
		assert.ok(end - start >= 20000000n);
		assert.equal(new Set(spans.map(span => span.spanId)).size, 3);
		const [request] = collector.requests;
		assert.equal(`${request.method} ${request.url} ${request.type}`, 'POST /v1/traces application/json');
		assert.equal(await socket.call('named'), 'chat-gateway', 'the next one has the connection\'s own name again');
	});

	test('that fails says so, in both logs too', async () => {
		const trace = newTrace();
		const { error } = await call(socket, 'bursts', {}, trace.text);
		assert.equal(error.code, 500);
		const spans = await collector.spansOf(trace, 3);
		const server = spans.find(span => span.name === 'bursts');
		assert.equal(server.attributes['rpc.jsonrpc.error_code'], 500);
		assert.equal(server.status.code, 2);
		const line = lines(world.gateway.log).map(text => JSON.parse(text)).find(({ event, trace_id }) => event === 'call_failed' && trace_id === trace.id);
		assert.match(line.message, /it burst/);
		const log = await readFile(join((await world.cluster('path')).trim(), 'log'), 'utf8');
		assert.match(log, new RegExp(`chat-gateway ${trace.id}-[0-9a-f]{16} ERROR: {2}it burst`));
	});

	test('is not grouped, and leaves the group of others alone', async () => {
		const chat = await socket.call('create_group_chat', { title: 'traced' }).catch(() => undefined);
		const chat_id = chat?.id ?? (await socket.call('open_direct_chat', { user_id: (await world.user('bob')).id })).id;
		const trace = newTrace();
		const sent = await Promise.all(Array.from({ length: 20 }, (_, n) => call(socket, 'send_message', { chat_id, body: `m${n}`, client_key: `t${n}` }, n === 10 ? trace.text : undefined)));
		assert.ok(sent.every(({ result }) => result));
		const ids = sent.map(({ result }) => BigInt(result.id ?? result));
		assert.deepEqual(ids, [...ids].sort((x, y) => (x < y ? -1 : 1)), 'and all in order');
		assert.equal((await collector.spansOf(trace, 3)).length, 3);
	});

	test('over HTTP: the header serves all calls of the body, a member one of them', async () => {
		const [outer, inner] = [newTrace(), newTrace()];
		const body = [{ jsonrpc: '2.0', id: 1, method: 'named' }, { jsonrpc: '2.0', id: 2, method: 'named', traceparent: inner.text }];
		const response = await fetch(`${world.http}/rpc`, { method: 'POST', headers: { Authorization: `Bearer ${alice.token}`, 'Content-Type': 'application/json', traceparent: outer.text }, body: JSON.stringify(body) });
		const answers = await response.json();
		assert.ok(answers.find(({ id }) => id === 1).result.includes(outer.id));
		assert.ok(answers.find(({ id }) => id === 2).result.includes(inner.id));
		assert.equal((await collector.spansOf(outer, 3)).length, 3);
		assert.equal((await collector.spansOf(inner, 3)).length, 3);
	});

	test('a file: what is called for it is beneath the request', async () => {
		const trace = newTrace();
		const response = await fetch(`${world.http}/files?name=a.txt`, { method: 'POST', headers: { Authorization: `Bearer ${alice.token}`, traceparent: trace.text }, body: 'hello' });
		assert.equal(response.status, 201);
		await until(() => collector.of(trace).some(span => span.name === 'POST /files'), 'the request\'s span');
		const spans = collector.of(trace);
		const request = spans.find(span => span.name === 'POST /files');
		assert.equal(request.parentSpanId, trace.parent);
		const steps = ['begin_upload', 'append_upload', 'finish_upload'].map(name => spans.find(span => span.name === name));
		for (const step of steps)
		{
			assert.equal(step.parentSpanId, request.spanId);
			assert.deepEqual(spans.filter(span => span.parentSpanId === step.spanId).map(span => span.name).sort(), ['database', 'queue']);
		}
	});

	test('what is not sampled, or is no traceparent, costs nothing; its trace stands in the log all the same', async () => {
		const quiet = newTrace('00');
		assert.equal((await call(socket, 'named', {}, quiet.text)).result, 'chat-gateway');
		for (const bad of ['', 'nonsense', 7, null, {}, `00-${'0'.repeat(32)}-${hex(16)}-01`, newTrace().text.replace(/[1-9]/g, 'A')])
			assert.equal((await call(socket, 'named', {}, bad)).result, 'chat-gateway', JSON.stringify(bad));
		const seen = newTrace();
		await call(socket, 'named', {}, seen.text);
		await collector.spansOf(seen, 3);
		assert.deepEqual(collector.of(quiet), []);
		assert.ok(lines(world.gateway.log).map(text => JSON.parse(text)).some(({ event, trace_id, message }) => event === 'call' && trace_id === quiet.id && /named/.test(message)));
	});

	test('beyond trace_limit a call runs as if not sampled', async () => {
		const traces = Array.from({ length: 200 }, () => newTrace());
		const answers = [];
		for (let n = 0; n < traces.length; n += 20)
			answers.push(...await Promise.all(traces.slice(n, n + 20).map(trace => call(socket, 'ping', {}, trace.text))));
		assert.ok(answers.every(({ result }) => result === 'pong'));
		const last = newTrace();
		await until(async () => {
			await call(socket, 'ping', {}, last.text);
			return collector.of(last).length > 0;
		}, 'they are believed again');
		const recorded = traces.filter(trace => collector.of(trace).length > 0).length;
		assert.ok(recorded >= 20 && recorded < 200, `${recorded} of 200`);
	});

	test('the log is JSON, line by line, and has no secrets', async () => {
		const password = 'a "password"\n of\tαlice \\';
		const name = `carol${process.pid}`;
		const stranger = await world.connect();
		await stranger.call('register_user', { user_name: name, password, display_name: name });
		const { token } = await stranger.call('log_in', { user_name: name, password, device_name: 'x' });
		await refused(stranger.call('log_in', { user_name: name, password: 'wrong-pass-4711', device_name: 'x' }));
		await stranger.close();
		const other = await world.connect();
		await refused(other.call('authenticate', { token: 'bad-token-4711' }));
		await refused(other.call('log_in', { user_name: name, password: 'wrong-pass-4711', device_name: 'x' }));
		await refused(other.call('nothing "of\n\\ the kind é'));
		await other.close();
		const answer = await fetch(`${world.http}/rpc`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: '{' });
		assert.equal(answer.status, 400);
		await until(() => /nothing/.test(world.gateway.log), 'the last call');
		const complete = world.gateway.log.slice(0, world.gateway.log.lastIndexOf('\n'));
		for (const line of lines(complete))
		{
			const parsed = JSON.parse(line);
			for (const member of ['time', 'level', 'who', 'pid', 'event', 'message'])
				assert.ok(member in parsed, line);
			assert.ok(parsed.trace_id === undefined || /^[0-9a-f]{32}$/.test(parsed.trace_id));
		}
		for (const secret of [token, alice.token, 'wrong-pass-4711', 'bad-token-4711', 'αlice', alice.password])
			assert.ok(!complete.includes(secret), secret);
	});
});

describe('a collector that is away', () => {
	test('holds nothing up; what it did not take is counted, and it is found again', async () => {
		const collector = await Collector.start();
		const world = await World.start({ knobs: { otlp_endpoint: `${collector.url}/`, trace_limit: '100000' } });
		const { a, chat_id } = await world.pair();
		collector.status = 0; // takes requests and never answers
		const first = newTrace();
		await call(a, 'ping', {}, first.text);
		await until(() => collector.requests.length > 0, 'a request');
		const began = Date.now();
		for (let n = 0; n < 3000; n += 30)
			await Promise.all(Array.from({ length: 30 }, () => call(a, 'ping', {}, newTrace().text)));
		for (let n = 0; n < 20; n++)
			assert.ok((await call(a, 'send_message', { chat_id, body: 'x', client_key: `x${n}` }, newTrace().text)).result);
		assert.ok(Date.now() - began < 30000);
		await until(async () => await counter(world, 'spans_dropped_total') > 0, 'more than the queue holds');
		await until(() => /event=spans_not_exported/.test(world.gateway.log), 'said so');
		assert.equal(world.gateway.log.match(/event=spans_not_exported/g).length, 1);
		assert.equal(await counter(world, 'spans_exported_total'), 0);
		collector.status = 200;
		await until(async () => await counter(world, 'spans_exported_total') > 0, 'it is there again');
		const last = newTrace();
		await call(a, 'ping', {}, last.text);
		await world.stop();
		assert.ok(collector.of(last).length > 0, 'what waited at the end was sent');
		collector.stop();
	});

	test('does not keep the gateway from ending', async () => {
		const world = await World.start({ knobs: { otlp_endpoint: 'http://127.0.0.1:1' } });
		const socket = await world.connect();
		await call(socket, 'ping', {}, newTrace().text);
		await until(() => /event=spans_not_exported/.test(world.gateway.log), 'said so');
		await call(socket, 'ping', {}, newTrace().text);
		await world.stop();
	});
});

describe('/readyz', () => {
	test('is 503 while LISTEN is not heard, and while the database cannot be reached', async () => {
		let relay;
		const world = await World.start({ knobs: async it => {
			relay = await Relay.start(it);
			return { listen_database: relay.dsn };
		} });
		const ready = async () => (await fetch(`${world.http}/readyz`)).status;
		assert.equal(await ready(), 200);
		relay.cut();
		await until(async () => await ready() === 503, 'cut');
		relay.allow();
		await until(async () => await ready() === 200, 'back');
		await world.cluster('stop');
		await until(async () => await ready() === 503, 'the database is down');
		assert.equal((await fetch(`${world.http}/healthz`)).status, 200);
		await world.cluster('start');
		await until(async () => await ready() === 200, 'and up');
		await world.stop();
		relay.stop();
	});
});
