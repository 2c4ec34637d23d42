"""The words of a synthetic Indian clinic: names, places, codes and the clauses of its texts."""

from __future__ import annotations

from functools import cache
from itertools import product

GIRLS = tuple(
    "Aadhya Aanya Aarohi Aditi Ahana Aishwarya Akshara Amaya Ananya Anika Anjali Anushka Anvi "
    "Avani Bhavya Chaitra Charvi Damini Deepika Devika Dhriti Diya Divya Eesha Fatima Gauri "
    "Geetha Gowri Hamsini Harini Ira Ishita Ishani Jahnavi Janani Jiya Kalyani Kavya "
    "Keerthana Khushi Kiara Kriti Lakshmi Lavanya Mahika Maitreyi Malavika Meera Megha Mira "
    "Myra Nandini Navya Nayantara Neha Nila Nisha Nithya Pari Pihu Pooja Prisha Priya Radhika "
    "Ridhi Riya Rukmini Saanvi Sahana Saira Samaira Sanjana Sara Shreya Siya Sneha Srishti "
    "Swara Tanvi Tara Trisha Uma Vaishnavi Vanya Veda Vidya Yamini Zara Zoya José-Maria Zoë "
    "Renée Chloë अनन्या दिया काव्या மீனாட்சி கயல்விழி ಅದಿತಿ লাবণ্য زینب".split()
)
BOYS = tuple(
    "Aadi Aarav Aarush Abhinav Aditya Advait Agastya Ajay Akhil Akshay Aman Anirudh Arjun "
    "Arnav Aryan Ashwin Atharv Ayaan Bharath Bhuvan Chirag Darsh Dev Dhruv Dinesh Eshan "
    "Faizan Farhan Ganesh Gautam Girish Harsh Hemant Hrithik Imran Ishaan Jai Jatin Kabir "
    "Karan Karthik Kian Kishore Krishna Lakshya Lohith Madhav Manav Manish Mihir Mohit Naveen "
    "Neel Nihal Nikhil Nirvaan Om Parth Pranav Prateek Raghav Rahul Rehan Ritvik Rohan Rudra "
    "Sai Samarth Sanjay Shaurya Siddharth Sohan Surya Tejas Tushar Uday Vedant Veer Vihaan "
    "Vikram Vivaan Yash Yuvan Zain François Jürgen André आरव विवान अर्जुन கவின் இளமாறன் ತೇಜಸ್ "
    "অর্ণব محمد".split()
)
SURNAMES = tuple(
    "Acharya Agarwal Ahmed Ali Ansari Anand Apte Arora Bajaj Balan Banerjee Bansal Basu Bhat "
    "Bhatt Bhattacharya Bose Chakraborty Chandra Chatterjee Chauhan Chopra Choudhury D'Cruz "
    "D'Souza Das Dasgupta Deshmukh Deshpande Dhillon Dutta Fernandes Gandhi Ganguly Ghosh "
    "Gill Gogoi Gokhale Gowda Goyal Grover Gupta Hegde Hussain Iyengar Iyer Jadhav Jain Jha "
    "Joshi Kamath Kapoor Kaul Kaur Khan Khanna Khurana Kohli Krishnan Kulkarni Kumar Lal "
    "Mahajan Malhotra Mathew Mehta Menon Mishra Mitra Mukherjee Murthy Nadar Naidu Naik Nair "
    "Nambiar Narayan Narayanan Pai Pandey Parekh Patel Patil Pillai Pinto Prasad Rajan Raman "
    "Rao Rathore Reddy Roy Saha Saxena Sen Sethi Shah Sharma Shenoy Shetty Sinha Singh Soni "
    "Srinivasan Subramanian Sundaram Suri Swamy Tandon Thakur Thomas Tiwari Trivedi Varghese "
    "Varma Venkatesan Verma Vyas Wadia Yadav शर्मा वर्मा கிருஷ்ணன் முருகன் ಗೌಡ দাস صدیقی "
    "Müller Nuñez".split()
)
MIDDLE_NAMES = ("Kumar", "Devi", "Lal", "Rani", "Mohan", "Bala", "Chand", "Prakash", "K.", "S. R.")
PLACES = (
    ("Bengaluru", "Karnataka", 5600),
    ("Mysuru", "Karnataka", 5700),
    ("Mumbai", "Maharashtra", 4000),
    ("Pune", "Maharashtra", 4110),
    ("Chennai", "Tamil Nadu", 6000),
    ("Coimbatore", "Tamil Nadu", 6410),
    ("Hyderabad", "Telangana", 5000),
    ("New Delhi", "Delhi", 1100),
    ("Kolkata", "West Bengal", 7000),
    ("Kochi", "Kerala", 6820),
    ("Thiruvananthapuram", "Kerala", 6950),
    ("Ahmedabad", "Gujarat", 3800),
    ("Jaipur", "Rajasthan", 3020),
    ("Lucknow", "Uttar Pradesh", 2260),
    ("Bhubaneswar", "Odisha", 7510),
    ("Guwahati", "Assam", 7810),
)
STREETS = (
    "MG Road", "4th Cross, Indiranagar", "Gandhi Nagar", "Park Street", "Linking Road",
    "Anna Salai", "Church Street", "Nehru Enclave", "Station Road", "Lake View Layout", "Sector 21",
    "Temple Lane", "गांधी मार्ग", "அண்ணா நகர்",
)  # fmt: skip
LANDMARKS = ("near SBI bank", "opp. Govt. School", "behind the temple", "2nd floor", "Block C")
LANGUAGES = (
    "Hindi", "English", "Kannada", "Tamil", "Telugu", "Malayalam", "Marathi", "Bengali", "Gujarati",
    "Urdu", "Odia", "Punjabi",
)  # fmt: skip
LANGUAGE_CODES = ("en", "hi", "kn", "ta", "te", "ml", "mr", "bn")
OCCUPATIONS = ("Teacher", "Engineer", "Farmer", "Homemaker", "Nurse", "Shopkeeper", "Accountant")
RELATIONS = ("mother", "father", "grandmother", "grandfather", "guardian", "aunt", "uncle")
SCHOOLS = ("Kendriya Vidyalaya", "Delhi Public School", "St. Joseph's", "Vidya Mandir", "Govt. HPS")
ICD_CODES = (
    "F84.0", "F84.5", "F84.9", "F90.0", "F90.2", "F80.1", "F80.2", "F81.0", "F81.2", "F82", "F70",
    "G80.1", "Q90.9", "R62.0", "H90.3", "F94.0",
)  # fmt: skip
DIAGNOSES = (
    "Autism spectrum disorder, level 1", "Autism spectrum disorder, level 2", "ADHD, combined type",
    "Global developmental delay", "Specific learning disorder (reading)", "Speech sound disorder",
    "Spastic diplegic cerebral palsy", "Down syndrome", "Intellectual disability, mild",
)  # fmt: skip
MEDICINES = ("Risperidone 0.5 mg", "Methylphenidate 10 mg", "Melatonin 3 mg", "Vitamin D3", "Iron")
ALLERGIES = ("Peanuts", "Dust mites", "Penicillin", "Milk", "None known")
SPECIALITIES = (
    "Speech therapy", "Occupational therapy", "Clinical psychology", "Special education",
    "Developmental paediatrics", "Behaviour analysis", "Physiotherapy",
)  # fmt: skip
DOMAINS = ("communication", "social", "motor", "cognitive", "self-care", "behaviour", "academic")
TAGS = (
    "priority",
    "school-report",
    "new",
    "speech",
    "OT",
    "follow-up",
    "sibling",
    "NIOS",
    "waitlist",
)
FREQUENCIES = ("daily", "twice a week", "weekly", "fortnightly", "monthly")
ACTIVITIES = (
    "Picture cards",
    "Story time",
    "Obstacle course",
    "Finger painting",
    "Rangoli tracing",
)
STRATEGIES = (
    "Visual schedule",
    "First-then board",
    "Token economy",
    "Prompt fading",
    "Sensory diet",
)
SERVICES = (
    "Speech therapy",
    "Occupational therapy",
    "Resource room",
    "Counselling",
    "Shadow teacher",
)
GRADES = ("LKG", "UKG", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")
YEARS = ("2021-22", "2022-23", "2023-24", "2024-25", "2025-26")
FILES = ("report.pdf", "photo.jpg", "scan of साक्ष्य.pdf", "worksheet.docx", "session-video.mp4")
AGENTS = (
    "Mozilla/5.0 (Linux; Android 13; SM-A135F) AppleWebKit/537.36 Chrome/118.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
)

_OPENINGS = (
    "During today's session", "At the start of the visit", "After a short break",
    "At home this week", "In the group activity", "With hand-over-hand support",
    "When offered two choices",
    "On the third attempt", "In the waiting area", "With the grandmother present", "At school",
    "While playing with blocks", "Compared with last month", "According to the parents",
)  # fmt: skip
_EVENTS = (
    "the child followed two-step instructions without a visual cue",
    "eye contact was brief but clearly intentional",
    "he pointed to request a toy and waited for his turn",
    "she named eleven of fifteen picture cards in Kannada and English",
    "transitions were difficult and needed a first-then board",
    "sensory seeking was seen, mostly jumping and spinning",
    "pencil grip was immature and tired quickly",
    "there were three episodes of crying, each under two minutes",
    "joint attention lasted for about four minutes",
    "the new word 'पानी' was used twice without a prompt",
    "she greeted the therapist with 'வணக்கம்' and a smile",
    "self-feeding with a spoon was completed with little spilling",
    "he sorted shapes by colour at 80% accuracy",
    "echolalia was reduced when the questions were kept short",
    "sleep was reported as broken, about six hours in total",
)
_CLOSINGS = (
    "so the target was raised to 90% over three sessions", "which the mother will practise at home",
    "and a visual schedule was handed out", "but generalisation to school has not been seen yet",
    "and the plan stays as it is until the next review", "which is a clear gain over the baseline",
    "and the teacher was informed by phone", "so we agreed on a café-style snack routine",
    "and the goal is considered met", "so the sensory diet is to be reviewed in two weeks",
)  # fmt: skip


@cache
def sentences() -> tuple[str, ...]:
    """Some two thousand sentences of 60 to 170 characters for notes, journals and reports."""
    return tuple(
        f"{opening}, {event}, {closing}."
        for opening, event, closing in product(_OPENINGS, _EVENTS, _CLOSINGS)
    )


@cache
def phrases() -> tuple[str, ...]:
    """Some hundred and fifty phrases of 30 to 90 characters for concerns, goals and titles."""
    return tuple(
        f"{event[0].upper()}{event[1:]} ({closing.removeprefix('and ')})"
        for event, closing in product(_EVENTS, _CLOSINGS)
    )
