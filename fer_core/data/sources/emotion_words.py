"""Emotions in languages other than English, as names of classes."""

import re
import unicodedata
from collections.abc import Mapping

_WORDS = {
    "angry": "wut wütend ärger verärgert zorn zornig colère fâché enojo enojado enfado enfadado "
    "rabia rabbia arrabbiato raiva zangado boos boosheid woede ilska gniew zły kizgin öfke "
    "гнев злость злой 生气 愤怒 生氣 憤怒 怒り 분노 화남 marah",
    "disgust": "ekel dégoût dégoûté asco disgusto disgustato nojo walging afkeer avsky obrzydzenie "
    "wstręt iğrenme tiksinti отвращение 厌恶 厭惡 嫌悪 혐오 jijik",
    "fear": "angst ängstlich furcht peur effrayé miedo paura medo rädsla strach korku страх "
    "испуг 恐惧 害怕 恐懼 恐怖 恐れ 공포 두려움 takut",
    "happy": "freude fröhlich glücklich froh joie heureux heureuse felicidad feliz alegría "
    "alegre felicità felice gioia felicidade alegria blij vreugde glad glädje radość szczęście "
    "wesoły mutlu mutluluk радость счастье 高兴 快乐 开心 高興 快樂 開心 "
    "喜び 幸せ 행복 기쁨 senang bahagia",
    "neutral": "neutre neutro neutrale neutraal neutralny nötr doğal нейтральный нейтрально "
    "нейтральное 中性 平静 中立 無表情 중립 무표정 netral",
    "sad": "trauer traurig traurigkeit triste tristesse tristeza tristezza verdrietig verdriet "
    "ledsen sorg smutek smutny üzgün üzüntü грусть печаль грустный 悲伤 难过 悲傷 難過 "
    "悲しみ 슬픔 sedih",
    "surprise": "überraschung überrascht surpris sorpresa sorprendido sorpreso surpresa surpreso "
    "verrast verrassing förvåning förvånad zaskoczenie zdziwienie şaşkin şaşirma удивление 惊讶 "
    "惊喜 驚訝 驚き 놀람 terkejut",
    "contempt": "verachtung mépris desprecio disprezzo desprezo minachting förakt pogarda "
    "презрение 轻蔑 蔑视 輕蔑 軽蔑 경멸",
}  # fmt: skip
"""German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Polish, Turkish, Russian, Chinese,
Japanese, Korean and Indonesian."""


def _plain(text: str) -> str:
    """Returns a text in lower case without accents, which are often lost in file names."""
    apart = unicodedata.normalize("NFKD", text.lower().replace("\u0131", "i").replace("ł", "l"))
    return "".join(char for char in apart if not unicodedata.combining(char))


_EMOTIONS: Mapping[str, str] = {
    _plain(word): emotion for emotion, words in _WORDS.items() for word in words.split()
}


def translated(name: str) -> str | None:
    """Returns the emotion that a single word of another language means: `01_Überraschung`."""
    words = re.findall(r"[^\W\d_]+", _plain(name))
    return _EMOTIONS.get(words[0]) if len(words) == 1 else None
