// SPDX-License-Identifier: PostgreSQL
// The order of service: whoever comes waits for one call of each other, and no lane for another. Nothing here looks at a
// clock: slow functions wait for advisory locks that the test holds, so "still waiting" is a fact and not a guess.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { refused, unique, until, World } from './harness.js';

// Functions of each lane that wait for a gate: an advisory lock that the test holds, shared among those that wait. Each notes in
// public.served when it has passed.
const functions = `
	CREATE TABLE public.served (id bigint GENERATED ALWAYS AS IDENTITY, who text, at int);
	CREATE FUNCTION chat.e2e_pass(who text, gate int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = 0 AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(gate);
		INSERT INTO public.served (who, at) VALUES (e2e_pass.who, e2e_pass.gate);
	END $$;
	CREATE FUNCTION chat.e2e_wait(actor_id bigint, gate int) RETURNS void LANGUAGE sql AS $$ SELECT chat.e2e_pass(actor_id::text, gate) $$;
	CREATE FUNCTION chat.e2e_knock(actor_address inet, gate int) RETURNS void LANGUAGE sql AS $$ SELECT chat.e2e_pass(host(actor_address), gate) $$;
	CREATE FUNCTION chat.e2e_order(actor_id bigint, chat_id bigint, number int) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
	BEGIN
		PERFORM FROM chat.chats c WHERE c.id = e2e_order.chat_id FOR UPDATE;
		INSERT INTO public.served (who, at) VALUES (actor_id::text, number);
	END $$;
	INSERT INTO chat.groupable VALUES ('e2e_order');
	GRANT EXECUTE ON FUNCTION chat.e2e_pass TO chat_user, chat_anonymous;
	GRANT EXECUTE ON FUNCTION chat.e2e_wait, chat.e2e_order TO chat_user;
	GRANT EXECUTE ON FUNCTION chat.e2e_knock TO chat_anonymous;`;

const sessions = new Set();
const session = world => {
	const psql = spawn('psql', ['-XAtq', '-h', world.sockets, '-p', '5432', '-U', 'postgres', '-d', 'chat'], { stdio: ['pipe', 'pipe', 'inherit'] });
	sessions.add(psql);
	return psql;
};

// Advisory locks held by a session of the test's own; they are let go one by one.
class Gates
{
	static async shut(world, ...keys)
	{
		const gates = new this();
		gates.psql = session(world);
		gates.said = '';
		gates.psql.stdout.on('data', chunk => gates.said += chunk);
		for (const key of keys)
			gates.psql.stdin.write(`SELECT 'shut ' || coalesce(pg_advisory_lock(${key})::text, '');\n`);
		await until(() => gates.said.match(/shut/g)?.length === keys.length, 'the gates');
		return gates;
	}

	open(key)
	{
		this.psql.stdin.write(`SELECT pg_advisory_unlock(${key});\n`);
	}

	async end()
	{
		this.psql.stdin.end();
		await once(this.psql, 'close');
	}
}

// One that a failed test has left would keep this process from ending.
after(() => {
	for (const psql of sessions)
		psql.kill();
});

class Lanes extends World
{
	static async begin(knobs)
	{
		const world = await this.start({ knobs: { workers: 1, call_timeout: '60s', trusted_proxies: '127.0.0.1', ...knobs } });
		await world.sql(functions);
		const [user] = await world.crowd(1);
		const socket = await world.connect(user);
		await until(() => socket.call('e2e_wait', { gate: 0 }).then(() => true, () => false), 'the functions');
		await socket.close();
		await world.sql('TRUNCATE public.served');
		return world;
	}

	// How many calls wait for this gate.
	async at(gate)
	{
		return Number(await this.sql(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = ${gate}`));
	}

	gathered(gate, count)
	{
		return until(async () => await this.at(gate) === count, `${count} calls at gate ${gate}`);
	}

	// Who has passed the gate, in order.
	async served(gate)
	{
		return (await this.sql(`SELECT string_agg(who, ' ' ORDER BY id) FROM public.served WHERE at = ${gate}`)).split(' ');
	}

	connection(address)
	{
		return this.connect(null, { 'X-Forwarded-For': address });
	}
}

const many = (count, call) => Array.from({ length: count }, (_, n) => call(n));

describe('one connection', () => {
	let world;
	before(async () => {
		world = await Lanes.begin({ single_share: 1 });
	});
	after(() => world.stop());

	test("another user's call is served after one of the flooder's", async () => {
		const [flooder, bystander] = await world.crowd(2);
		const flood = await world.connect(flooder);
		const calm = await world.connect(bystander);
		const gates = await Gates.shut(world, 1);
		const answers = many(32, () => flood.call('e2e_wait', { gate: 1 }));
		await world.gathered(1, 1);
		const answer = calm.call('e2e_wait', { gate: 1 });
		await calm.call('ping'); // it was received
		gates.open(1);
		await Promise.all([answer, ...answers]);
		const order = await world.served(1);
		assert.equal(order.length, 33);
		assert.deepEqual(order.slice(0, 2), [flooder.id, bystander.id]);
		await gates.end();
		await Promise.all([flood.close(), calm.close()]);
	});

	test('so is that of a second socket, whoever else waits: users take turns, not sockets', async () => {
		const [flooder, one, other] = await world.crowd(3);
		const floods = await Promise.all(many(4, () => world.connect(flooder)));
		const calm = await Promise.all([one, other].map(user => world.connect(user)));
		const gates = await Gates.shut(world, 2);
		const answers = floods.flatMap(socket => many(16, () => socket.call('e2e_wait', { gate: 2 })));
		await world.gathered(2, 1);
		for (const socket of calm)
		{
			answers.push(socket.call('e2e_wait', { gate: 2 }));
			await socket.call('ping');
		}
		gates.open(2);
		await Promise.all(answers);
		const order = await world.served(2);
		assert.ok(Math.max(order.indexOf(one.id), order.indexOf(other.id)) <= 3, order.join(' '));
		await gates.end();
		await Promise.all([...floods, ...calm].map(socket => socket.close()));
	});

	test("a visitor's call over HTTP takes its user's turn", async () => {
		const [flooder, bystander] = await world.crowd(2);
		const post = (user, gate) => fetch(`${world.http}/rpc`, {
			method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${user.token}` },
			body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'e2e_wait', params: { gate } })
		}).then(answer => answer.json());
		const gates = await Gates.shut(world, 3);
		const answers = many(12, () => post(flooder, 3));
		await world.gathered(3, 1);
		const calm = await world.connect(bystander);
		answers.push(calm.call('e2e_wait', { gate: 3 }));
		await calm.call('ping');
		gates.open(3);
		await Promise.all(answers);
		assert.ok((await world.served(3)).indexOf(bystander.id) <= 2);
		await gates.end();
		await calm.close();
	});
});

describe('several connections', () => {
	let world;
	before(async () => {
		world = await Lanes.begin({ single_share: 3, calls_in_flight: 64, calls_waiting: 40 });
	});
	after(() => world.stop());

	test('one user never holds all of a lane', async () => {
		const [flooder, bystander] = await world.crowd(2);
		const flood = await world.connect(flooder);
		const calm = await world.connect(bystander);
		const gates = await Gates.shut(world, 1);
		const answers = many(32, () => flood.call('e2e_wait', { gate: 1 }));
		await world.gathered(1, 2);
		await calm.call('e2e_wait', { gate: 4 }); // which nobody has shut
		assert.equal(await world.at(1), 2);
		gates.open(1);
		await Promise.all(answers);
		await gates.end();
		await Promise.all([flood.close(), calm.close()]);
	});

	test('sign-ups do not hold back log_in, nor one address the sign-ups of another', async () => {
		const user = await world.user('alice');
		const gates = await Gates.shut(world, 1);
		const floods = await Promise.all(many(8, () => world.connection('192.0.2.1')));
		const answers = floods.flatMap(socket => many(4, () => socket.call('e2e_knock', { gate: 1 })));
		await world.gathered(1, 1);
		const calm = await world.connection('192.0.2.2');
		assert.ok((await world.logIn(user, calm)).token, 'while sign-ups stand still');
		const late = await world.connection('2001:db8:0:1::1');
		answers.push(late.call('e2e_knock', { gate: 1 }));
		await late.call('ping');
		gates.open(1);
		await Promise.all(answers);
		assert.equal((await world.served(1)).slice(-33).indexOf('2001:db8:0:1::1'), 1, 'second of all');
		await gates.end();
		await Promise.all([...floods, calm, late].map(socket => socket.close()));
	});

	test('addresses of one /64 are one caller', async () => {
		const gates = await Gates.shut(world, 5);
		const floods = await Promise.all(many(6, n => world.connection(`2001:db8:0:9::${n + 1}`)));
		const answers = floods.flatMap(socket => many(2, () => socket.call('e2e_knock', { gate: 5 })));
		await world.gathered(5, 1);
		const calm = await world.connection('2001:db8:0:a::1');
		answers.push(calm.call('e2e_knock', { gate: 5 }));
		await calm.call('ping');
		gates.open(5);
		await Promise.all(answers);
		assert.equal((await world.served(5)).indexOf('2001:db8:0:a::1'), 1);
		await gates.end();
		await Promise.all([...floods, calm].map(socket => socket.close()));
	});

	test("the gateway's own calls are served while every lane is full", async () => {
		const users = await world.crowd(5);
		const gates = await Gates.shut(world, 6);
		const sockets = await Promise.all(users.slice(0, 4).map(user => world.connect(user)));
		const strangers = await Promise.all(many(3, n => world.connection(`198.51.100.${n}`)));
		const answers = [
			...sockets.flatMap(socket => many(8, () => socket.call('e2e_wait', { gate: 6 }))),
			...strangers.flatMap(socket => many(4, () => socket.call('e2e_knock', { gate: 6 })))
		];
		await world.gathered(6, 4); // three of the single lane, one of the anonymous one
		const socket = await world.connection('203.0.113.1');
		await socket.call('authenticate', { token: users[4].token });
		assert.equal(await world.at(6), 4);
		gates.open(6);
		await Promise.all(answers);
		await gates.end();
		await Promise.all([...sockets, ...strangers, socket].map(one => one.close()));
	});

	test('beyond calls_waiting of one user: 429, and nobody else hears of it', async () => {
		const [flooder, bystander] = await world.crowd(2);
		const flood = await world.connect(flooder);
		const calm = await world.connect(bystander);
		const gates = await Gates.shut(world, 7);
		const answers = many(50, () => flood.call('e2e_wait', { gate: 7 }));
		const over = await Promise.all(answers.slice(42).map(refused));
		assert.deepEqual(over.map(({ code, data }) => `${code} ${data.reason}`), Array(8).fill('429 too_many_calls'));
		assert.ok(over[0].data.retry_after_ms > 0);
		await calm.call('e2e_wait', { gate: 4 });
		gates.open(7);
		await Promise.all(answers.slice(0, 42));
		await gates.end();
		await Promise.all([flood.close(), calm.close()]);
	});
});

describe('order', () => {
	let world;
	before(async () => {
		world = await Lanes.begin({ pool_size: 1 });
	});
	after(() => world.stop());

	// One user's numbers must come as they were sent, whatever comes between.
	const inOrder = async users => {
		for (const { id } of users)
		{
			const numbers = (await world.sql(`SELECT string_agg(at::text, ' ' ORDER BY id) FROM public.served WHERE who = '${id}'`)).split(' ').map(Number);
			assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), `of ${id}`);
		}
	};

	const group = async count => {
		const users = await world.crowd(count);
		const sockets = await Promise.all(users.map(user => world.connect(user)));
		const { id } = await sockets[0].call('create_group', { title: 'order', member_ids: users.slice(1).map(user => user.id) });
		return { users, sockets, chat_id: id };
	};

	test("of one user's calls for a chat is kept while users take turns", async () => {
		const { users, sockets, chat_id } = await group(4);
		const answers = [];
		for (let n = 0; n < 30; n++)
			for (const [at, socket] of sockets.entries())
				for (let k = 0; k <= at * 2; k++)
					answers.push(socket.call('e2e_order', { chat_id, number: n * 10 + k }).catch(error => assert.equal(error.code, 429)));
		await Promise.all(answers);
		await inOrder(users);
		await Promise.all(sockets.map(socket => socket.close()));
	});

	test('also when groups fail, and when the chat is locked for a while', async () => {
		const { users, sockets, chat_id } = await group(3);
		await world.sql('TRUNCATE public.served');
		const psql = session(world);
		let said = '';
		psql.stdout.on('data', chunk => said += chunk);
		psql.stdin.write(`BEGIN; SELECT 'locked' FROM chat.chats WHERE id = ${chat_id} FOR UPDATE;\n`);
		await until(() => /locked/.test(said), 'the lock');
		const answers = [];
		for (let n = 0; n < 20; n++)
			for (const socket of sockets)
			{
				answers.push(socket.call('e2e_order', { chat_id, number: n }));
				if (n % 4 === 0)
					answers.push(refused(socket.call('send_message', { chat_id, body: '' })));
			}
		await until(() => /chat_held/.test(world.gateway.log), 'the side lane');
		psql.stdin.end('COMMIT;\n');
		await once(psql, 'close');
		await Promise.all(answers);
		await inOrder(users);
		await Promise.all(sockets.map(socket => socket.close()));
	});
});

describe('connections', () => {
	test('a worker at rest holds few, opens more when they are needed, and no more than the shares come to', async () => {
		const world = await Lanes.begin({ pool_size: 2, single_share: 4 });
		const backends = async () => Number(await world.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway'"));
		assert.ok(await backends() <= 2 + 3 + 1, 'grouped, shared, LISTEN');
		const users = await world.crowd(5);
		const sockets = await Promise.all(users.map(user => world.connect(user)));
		const gates = await Gates.shut(world, 1);
		const answers = sockets.flatMap(socket => many(5, () => socket.call('e2e_wait', { gate: 1 })));
		await world.gathered(1, 4);
		const { length } = (await fetch(`${world.http}/metrics`).then(answer => answer.text())).match(/^chat_gateway_database_connections\{lane="single",state="busy"\} 4$/gm) ?? [];
		assert.equal(length, 1, 'the lane holds its share');
		assert.ok(await backends() <= 2 + 6 + 1);
		gates.open(1);
		await Promise.all(answers);
		await gates.end();
		await Promise.all(sockets.map(socket => socket.close()));
		await world.stop();
	});
});
