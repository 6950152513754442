"""Names, courses and prices a district is drawn from. All invented; prices repeat on purpose.

Matching by amount must be tempting and wrong: hundreds of orders cost the same, as price lists make it in life.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")


class Course(NamedTuple):
    """A line of a price list: ``amount`` fen for ``class_hours``; at most 60 hours and 5000 yuan, as the rules say."""

    name: str
    class_hours: int
    amount: int


COURSES = (
    Course("少儿美术基础班", 16, 268000),
    Course("书法启蒙班", 12, 198000),
    Course("少儿编程入门", 24, 360000),
    Course("机器人竞赛营", 30, 458000),
    Course("钢琴一对一", 48, 499900),
    Course("舞蹈基本功", 60, 500000),
    Course("围棋段位班", 20, 239900),
    Course("英语口语实践", 7, 100000),
    Course("科学实验课", 9, 128050),
    Course("篮球训练营", 8, 89900),
    Course("小主持人班", 13, 176600),
    Course("体验课", 1, 9900),
)

_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰梅红波辉宇晨欣怡浩然子涵梓轩雨桐诗琪"
_BRANDS = (
    "知行",
    "启明",
    "青禾",
    "博雅",
    "新苗",
    "星河",
    "墨香",
    "乐学",
    "远航",
    "百川",
    "扬帆",
    "春晓",
    "慧谷",
    "朝阳",
    "致远",
    "蓝天",
)
_FIELDS = ("美术", "科创", "音乐", "体育", "语言", "艺术", "素质", "文化")
_FORMS = (("培训学校有限公司", "91"), ("教育科技有限公司", "91"), ("培训中心", "52"), ("艺术学校", "52"))

CHANNEL_COMPANIES = {"wechat": "财付通支付科技有限公司", "alipay": "支付宝（中国）网络技术有限公司"}
CHANNEL_ACCOUNTS = {"wechat": "243300133000000001", "alipay": "215500690000000002"}
STRANGERS = ("上海某商贸有限公司", "临街五金经营部", "个体工商户赵记", "某物业服务有限公司")


def pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """One of ``items``; only ``random()`` is used, whose sequence Python promises never to change."""
    return items[int(rng.random() * len(items))]


def between(rng: random.Random, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return low + int(rng.random() * (high - low + 1))


def shuffled(rng: random.Random, items: Sequence[Item]) -> list[Item]:
    """The items in a random order (Fisher-Yates over ``random()``)."""
    result = list(items)
    for position in range(len(result) - 1, 0, -1):
        other = int(rng.random() * (position + 1))
        result[position], result[other] = result[other], result[position]
    return result


def digits(rng: random.Random, count: int) -> str:
    """``count`` decimal digits."""
    return f"{int(rng.random() * 10**count):0{count}d}" if count <= 15 else digits(rng, 15) + digits(rng, count - 15)


def person(rng: random.Random) -> str:
    """A Chinese name of two or three characters."""
    given = pick(rng, _GIVEN)
    return pick(rng, _FAMILY) + given + (pick(rng, _GIVEN) if rng.random() < 0.6 else "")


def institution_name(rng: random.Random, city: str, number: int) -> tuple[str, str]:
    """(full name, kind for the credit code); the brand differs by ``number``, so no two institutions share a name."""
    form, kind = pick(rng, _FORMS)
    brand = _BRANDS[number % len(_BRANDS)] + ("" if number < len(_BRANDS) else str(number // len(_BRANDS) + 1))
    return f"{city}{brand}{pick(rng, _FIELDS)}{form}", kind
